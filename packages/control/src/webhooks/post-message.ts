import { createHmac, randomBytes } from 'node:crypto';
import { type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { assertAllowedTarget, publicLookup } from './target.js';

/** Most of an answer that is kept, bytes. */
const RESPONSE_BYTES = 1024;

export interface Message {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  readonly body: string;
}

export interface PostOptions {
  readonly allowPrivate: boolean;
  /** For connecting, sending and the answer, ms. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface PostOutcome {
  readonly status: number | null;
  /** null: it was taken. */
  readonly error: string | null;
  /** The start of the answer. */
  readonly response: string | null;
}

/** A new key, as Standard Webhooks write one. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

/** The headers that name and sign a message (Standard Webhooks: symmetric, v1). */
export function signatureHeaders({ id, secret, body }: Message, at: Date): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/** Posts a message on a connection of its own. Follows no redirects; only 2xx counts as taken. Never throws but for the signal. */
export async function postMessage(message: Message, options: PostOptions): Promise<PostOutcome> {
  const limit = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    assertAllowedTarget(message.url, options);
    return await exchange(message, { allowPrivate: options.allowPrivate, signal: limit });
  } catch (error) {
    options.signal.throwIfAborted();
    const reason = limit.aborted ? `no answer within ${options.timeoutMs} ms` : reasonOf(error);
    return { status: null, error: reason, response: null };
  }
}

function exchange(
  message: Message,
  { allowPrivate, signal }: { allowPrivate: boolean; signal: AbortSignal },
): Promise<PostOutcome> {
  const body = Buffer.from(message.body);
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    signal,
    ...(allowPrivate ? {} : { lookup: publicLookup() }),
    headers: {
      'content-type': 'application/json',
      'content-length': body.length,
      'user-agent': 'clipyard-webhooks',
      ...signatureHeaders(message, new Date()),
    },
  };
  return new Promise((resolve, reject) => {
    const send = message.url.startsWith('https:') ? requestHttps : requestHttp;
    const sent = send(message.url, options, (response) => {
      const status = response.statusCode ?? 0;
      let kept = Buffer.alloc(0);
      const done = (): void => {
        const taken = status >= 200 && status < 300;
        const text = kept.length === 0 ? null : kept.toString();
        resolve({ status, error: taken ? null : `answered ${status}`, response: text });
        sent.destroy();
      };
      response.on('data', (chunk: Buffer) => {
        kept = Buffer.concat([kept, chunk]).subarray(0, RESPONSE_BYTES);
        if (kept.length === RESPONSE_BYTES) done();
      });
      response.once('end', done);
      response.once('error', reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : String(error);
}
