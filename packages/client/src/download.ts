import { ClipyardError } from '@clipyard/contracts';
import { backoff, sleep } from '@clipyard/runtime';
import { bodyChunks } from './body-chunks.js';
import type { Transport } from './transport.js';

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  /** Tries without a byte between them. */
  readonly attempts: number;
  readonly retryDelayMs: number;
}

/**
 * A file in pieces. Where the connection breaks it goes on from there, as long as it is the same file. Throws the server's
 * coded error, `server_unreachable`, or the signal's reason.
 */
export async function* download(
  transport: Transport,
  path: string,
  { signal, attempts, retryDelayMs }: DownloadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const call = signal === undefined ? {} : { signal };
  const delays = backoff({ initialMs: retryDelayMs, maxMs: 5000 });
  let received = 0;
  let tag: string | null = null;
  for (let failures = 0; ; ) {
    try {
      const rest: Record<string, string> = tag === null ? {} : { range: `bytes=${received}-`, 'if-range': tag };
      const response = await transport.open(path, {
        headers: { accept: 'application/octet-stream', ...rest },
        ...call,
      });
      if (received > 0 && response.status !== 206)
        throw new ClipyardError('checkpoint_damaged', `${path} is another file than when its download began`);
      tag = response.headers.get('etag');
      for await (const chunk of response.body === null ? [] : bodyChunks(response.body)) {
        failures = 0;
        delays.reset();
        received += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      const coded = error instanceof ClipyardError ? error : brokeOff(transport, path, error);
      // Before the first byte the caller may as well ask again.
      if (!coded.retryable || tag === null || received === 0 || ++failures >= attempts) throw coded;
      await sleep(delays.next(), call);
    }
  }
}

const brokeOff = ({ serverUrl }: Transport, path: string, cause: unknown): ClipyardError =>
  new ClipyardError('server_unreachable', `${serverUrl} broke off while it sent ${path}`, { cause });
