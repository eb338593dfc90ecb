import { setMaxListeners } from 'node:events';
import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { BlobInfo, BlobStat, BlobStore, Cancellable } from '@clipyard/contracts';
import { abortable } from '@clipyard/runtime';
import { checkBlobKey, checkBlobPrefix } from './blob-key.js';
import { download } from './s3-download.js';
import { codedS3Error, type S3Attempt } from './s3-errors.js';
import { RangeReader } from './s3-ranges.js';
import { type S3Target, upload } from './s3-upload.js';
import { type S3Place, s3Url } from './s3-url.js';

/** Tries of a request, with waits that grow, while the server does not answer, throttles or fails. */
const REQUEST_TRIES = 5;
/** Time to connect to the S3 server, ms. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A connection on which nothing moves for so long is given up, ms. */
const IDLE_TIMEOUT_MS = 60_000;
/** Connections to the S3 server of one process. */
const MAX_CONNECTIONS = 64;
/** Unfinished uploads older than this are left over from a killed process. */
const STALE_UPLOAD_MS = 24 * 3600 * 1000;

/** Keys that S3 lists or deletes by one request. */
const MAX_PAGE_KEYS = 1000;

export interface S3StoreOptions extends S3Place {
  /** Where the place is configured, for errors; default `STORAGE_URL`. */
  readonly field?: string;
  /** Default a day. */
  readonly staleUploadMs?: number;
  /** Keys of a page, at most and by default 1000. */
  readonly pageKeys?: number;
}

/** What a body threw, kept apart from what the server did. */
class BodyError extends Error {}

async function* ownErrors(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new BodyError('the body failed', { cause: error });
  }
}

/**
 * A BlobStore in a bucket of S3, or of a server that speaks its protocol: one object a blob. Credentials come from where
 * the AWS SDK looks for them. When the connection breaks while the last request of a `put` is answered, the blob may be
 * there, whole, although `put` throws.
 */
export class S3Store implements BlobStore {
  readonly url: string;
  readonly #client: S3Client;
  readonly #ranges: RangeReader;
  readonly #place: S3Place;
  readonly #field: string;
  readonly #staleUploadMs: number;
  readonly #pageKeys: number;
  #swept: Promise<void> | undefined;

  constructor(options: S3StoreOptions) {
    const { field = 'STORAGE_URL', staleUploadMs = STALE_UPLOAD_MS, pageKeys = MAX_PAGE_KEYS, ...place } = options;
    this.#pageKeys = pageKeys;
    this.#place = place;
    this.#field = field;
    this.#staleUploadMs = staleUploadMs;
    this.url = s3Url(place);
    const { endpoint, region = endpoint === undefined ? undefined : 'us-east-1', forcePathStyle } = place;
    this.#client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      // Servers of one's own rarely have a host name for each bucket.
      forcePathStyle: forcePathStyle ?? endpoint !== undefined,
      maxAttempts: REQUEST_TRIES,
      // Ranges have no checksums of their own.
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: IDLE_TIMEOUT_MS,
        socketAcquisitionWarningTimeout: 60_000,
        httpAgent: { keepAlive: true, maxSockets: MAX_CONNECTIONS },
        httpsAgent: { keepAlive: true, maxSockets: MAX_CONNECTIONS },
      },
    });
    this.#ranges = new RangeReader(this.#client, {
      maxConnections: MAX_CONNECTIONS,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
    });
  }

  /** Asks the server once, so that a wrong name, region or key is known now. */
  async check({ signal }: Cancellable = {}): Promise<void> {
    const { bucket, prefix } = this.#place;
    await this.#call({ what: 'opened' }, signal, (abortSignal) =>
      this.#client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }), { abortSignal }),
    );
  }

  async put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, { signal }: Cancellable = {}) {
    const target = this.#target(key);
    return await this.#call({ what: 'written', key }, signal, async (stop) => {
      // A failure of it is no failure of this blob, which meets the same server next.
      this.#swept ??= this.#sweep().then(undefined, () => undefined);
      await abortable(this.#swept, stop);
      return await upload(this.#client, target, body instanceof Uint8Array ? body : ownErrors(body), stop);
    });
  }

  async read(key: string, options: Cancellable & { start?: number; end?: number } = {}): Promise<Uint8Array> {
    const target = this.#target(key);
    const { start = 0, end = Number.POSITIVE_INFINITY, signal } = options;
    if (end <= start) {
      await this.stat(key, options);
      return new Uint8Array(0);
    }
    return await this.#call({ what: 'read', key }, signal, (stop) =>
      download({ client: this.#client, ranges: this.#ranges }, target, { start, end }, stop),
    );
  }

  async stat(key: string, { signal }: Cancellable = {}): Promise<BlobStat> {
    const target = this.#target(key);
    return await this.#call({ what: 'read', key }, signal, async (abortSignal) => {
      const {
        ContentLength = 0,
        ETag,
        LastModified,
      } = await this.#client.send(new HeadObjectCommand(target), {
        abortSignal,
      });
      return { key, bytes: ContentLength, version: `${ETag ?? ''}-${LastModified?.getTime() ?? 0}` };
    });
  }

  async *list(prefix: string, { signal }: Cancellable = {}): AsyncIterable<BlobInfo> {
    checkBlobPrefix(prefix);
    const request = { Bucket: this.#place.bucket, Prefix: this.#place.prefix + prefix, MaxKeys: this.#pageKeys };
    for (let after: string | undefined; ; ) {
      const page = await this.#call({ what: 'listed' }, signal, (abortSignal) =>
        this.#client.send(
          new ListObjectsV2Command({ ...request, ...(after === undefined ? {} : { ContinuationToken: after }) }),
          { abortSignal },
        ),
      );
      for (const { Key, Size } of page.Contents ?? []) {
        // Other programs mark directories by empty objects whose name ends in a slash.
        if (Key === undefined || Key.endsWith('/')) continue;
        yield { key: Key.slice(this.#place.prefix.length), bytes: Size ?? 0 };
      }
      after = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (after === undefined) return;
    }
  }

  async delete(prefix: string, options: Cancellable = {}): Promise<void> {
    let keys: string[] = [];
    for await (const { key } of this.list(prefix, options)) {
      keys.push(key);
      if (keys.length < this.#pageKeys) continue;
      await this.#deleteAll(keys, options);
      keys = [];
    }
    if (keys.length > 0) await this.#deleteAll(keys, options);
  }

  async #deleteAll(keys: readonly string[], { signal }: Cancellable): Promise<void> {
    const { bucket, prefix } = this.#place;
    const Delete = { Quiet: true, Objects: keys.map((key) => ({ Key: prefix + key })) };
    await this.#call({ what: 'deleted' }, signal, async (abortSignal) => {
      const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }), {
        abortSignal,
      });
      const failure = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (failure === undefined) return;
      const { Code, Message, Key = prefix } = failure;
      const error = { name: Code ?? 'InternalError', message: Message ?? '' };
      throw codedS3Error(error, this.#attempt({ what: 'deleted', key: Key.slice(prefix.length) }));
    });
  }

  /** Takes away what killed writers left of their uploads, as far as the server knows how and these credentials may. */
  async #sweep(): Promise<void> {
    const { bucket: Bucket, prefix: Prefix } = this.#place;
    const staleBefore = Date.now() - this.#staleUploadMs;
    const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
    for (const { Key, UploadId, Initiated } of Uploads) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      if (Initiated.getTime() > staleBefore) continue;
      await this.#client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
  }

  /** Calls `action` with a signal of its own; its errors are coded, and an abort rejects with the signal's reason. */
  async #call<T>(
    attempt: Pick<S3Attempt, 'what' | 'key'>,
    signal: AbortSignal | undefined,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const own = AbortSignal.any(signal === undefined ? [] : [signal]);
    // Every request under way listens.
    setMaxListeners(0, own);
    try {
      return await action(own);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof BodyError) throw error.cause;
      throw codedS3Error(error, this.#attempt(attempt));
    }
  }

  #attempt(attempt: Pick<S3Attempt, 'what' | 'key'>): S3Attempt {
    return { ...attempt, place: this.#place, field: this.#field };
  }

  #target(key: string): S3Target {
    checkBlobKey(key);
    return { Bucket: this.#place.bucket, Key: this.#place.prefix + key };
  }
}
