import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Target } from './s3-upload.js';

/** A signed URL is valid so long, seconds, and used for two thirds of it. */
const URL_SECONDS = 900;
/** Objects whose signed URL is kept. */
const MAX_KEPT_URLS = 4096;
/** Requests in a row that fail before the rest goes through the SDK. */
const MAX_FAILURES = 8;

export interface RangeRequest {
  /** First byte, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /** Of the version that is asked for; unset: any. */
  readonly etag: string | undefined;
  readonly signal: AbortSignal;
}

export interface RangeReaderOptions {
  readonly maxConnections: number;
  readonly idleTimeoutMs: number;
}

/**
 * Ranges of objects that are read again and again, as samples of shards are. The SDK takes several times the processor
 * time of the request itself to prepare one; here an object's URL is signed once, and its ranges are plain requests.
 */
export class RangeReader {
  readonly #client: S3Client;
  readonly #options: RangeReaderOptions;
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  /** By key, in the order of first use; undefined: seen once. */
  readonly #urls = new Map<string, { readonly url: Promise<URL>; readonly until: number } | undefined>();
  #failures = 0;

  constructor(client: S3Client, options: RangeReaderOptions) {
    this.#client = client;
    this.#options = options;
    const agent = { keepAlive: true, maxSockets: options.maxConnections };
    this.#agents = { http: new HttpAgent(agent), https: new HttpsAgent(agent) };
  }

  /**
   * The answer with the range, status 206; undefined where the SDK is to make the request: for an object's first one, and
   * after whatever went wrong, since it repeats and explains.
   */
  async open(target: S3Target, request: RangeRequest): Promise<IncomingMessage | undefined> {
    if (this.#failures >= MAX_FAILURES) return undefined;
    const signed = this.#urlOf(target);
    if (signed === undefined) return undefined;
    try {
      const answer = await this.#get(await signed, request);
      if (answer.statusCode === 206) {
        this.#failures = 0;
        return answer;
      }
      answer.destroy();
    } catch {
      request.signal.throwIfAborted();
    }
    this.#failures++;
    this.#urls.delete(target.Key);
    return undefined;
  }

  #urlOf(target: S3Target): Promise<URL> | undefined {
    const isNew = !this.#urls.has(target.Key);
    const kept = this.#urls.get(target.Key);
    if (kept !== undefined && Date.now() < kept.until) return kept.url;
    this.#urls.delete(target.Key);
    if (this.#urls.size === MAX_KEPT_URLS) for (const oldest of this.#urls.keys()) if (this.#urls.delete(oldest)) break;
    if (isNew) {
      this.#urls.set(target.Key, undefined);
      return undefined;
    }
    const signed = getSignedUrl(this.#client, new GetObjectCommand(target), { expiresIn: URL_SECONDS });
    const url = signed.then((text) => new URL(text));
    this.#urls.set(target.Key, { url, until: Date.now() + (URL_SECONDS * 1000 * 2) / 3 });
    return url;
  }

  #get(url: URL, { start, end, etag, signal }: RangeRequest): Promise<IncomingMessage> {
    const headers = { range: `bytes=${start}-${end - 1}`, ...(etag === undefined ? {} : { 'if-match': etag }) };
    const isHttps = url.protocol === 'https:';
    const options = { headers, signal, timeout: this.#options.idleTimeoutMs };
    return new Promise((resolve, reject) => {
      const request = isHttps
        ? httpsGet(url, { ...options, agent: this.#agents.https }, resolve)
        : httpGet(url, { ...options, agent: this.#agents.http }, resolve);
      request.on('timeout', () => request.destroy(new Error('the connection is idle')));
      request.on('error', reject);
    });
  }
}
