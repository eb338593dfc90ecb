import type { Readable } from 'node:stream';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { ClipyardError } from '@clipyard/contracts';
import { retry } from '@clipyard/runtime';
import type { RangeReader, RangeRequest } from './s3-ranges.js';
import type { S3Target } from './s3-upload.js';

/** Bytes asked for in one request. */
const DOWNLOAD_PART_BYTES = 8 << 20;
/** Requests for parts of one blob at once. */
const DOWNLOAD_CONCURRENCY = 4;
/** Tries of a part whose body breaks off, and of a blob that is replaced while it is read. */
const DOWNLOAD_TRIES = 5;

export interface DownloadDeps {
  readonly client: S3Client;
  readonly ranges: RangeReader;
}

interface Part {
  readonly data: Uint8Array;
  /** Length of the whole object. */
  readonly total: number;
  readonly etag: string | undefined;
}

/** Bytes `start` to `end` (exclusive) of an object, cut off at its end: of one version of it, also when it is replaced. */
export async function download(
  deps: DownloadDeps,
  target: S3Target,
  { start, end }: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  for (let tries = 1; ; tries++) {
    try {
      return await downloadVersion(deps, target, start, end, signal);
    } catch (error) {
      if ((error as Error).name !== 'PreconditionFailed') throw error;
      if (tries === DOWNLOAD_TRIES)
        throw new ClipyardError('storage_failed', `\`${target.Key}\` is replaced faster than it can be read`);
    }
  }
}

async function downloadVersion(
  deps: DownloadDeps,
  target: S3Target,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const first = await getPart(deps, target, start, Math.min(end, start + DOWNLOAD_PART_BYTES), undefined, signal);
  const stop = Math.min(end, first.total);
  if (start + first.data.byteLength >= stop) return first.data;
  const out = new Uint8Array(stop - start);
  out.set(first.data);
  const starts: number[] = [];
  for (let at = start + first.data.byteLength; at < stop; at += DOWNLOAD_PART_BYTES) starts.push(at);
  const pending = starts.values();
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const workers = Array.from({ length: Math.min(DOWNLOAD_CONCURRENCY, starts.length) }, async () => {
    try {
      for (const at of pending) {
        const until = Math.min(stop, at + DOWNLOAD_PART_BYTES);
        await getPart(deps, target, at, until, first.etag, either, out.subarray(at - start, until - start));
      }
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  const ends = await Promise.allSettled(workers);
  signal.throwIfAborted();
  if (ends.some(({ status }) => status === 'rejected')) throw failed.signal.reason;
  return out;
}

/** One request, again when its body breaks off; the SDK repeats those that get no answer. */
async function getPart(
  deps: DownloadDeps,
  target: S3Target,
  start: number,
  end: number,
  etag: string | undefined,
  signal: AbortSignal,
  into?: Uint8Array,
): Promise<Part> {
  return await retry(() => tryPart(deps, target, start, end, etag, signal, into), {
    signal,
    backoff: { initialMs: 100, maxMs: 5_000 },
    shouldRetry: (error, attempts) => error instanceof BrokenBody && attempts < DOWNLOAD_TRIES,
  });
}

/** A body that ended early, or with an error. */
class BrokenBody extends ClipyardError {
  constructor(key: string, cause?: unknown) {
    super('storage_failed', `The S3 server broke off in the middle of \`${key}\``, { cause });
  }
}

async function tryPart(
  deps: DownloadDeps,
  target: S3Target,
  start: number,
  end: number,
  etag: string | undefined,
  signal: AbortSignal,
  into: Uint8Array | undefined,
): Promise<Part> {
  const answer = await request(deps, target, { start, end, etag, signal });
  if (answer === undefined) return { data: new Uint8Array(0), total: 0, etag: undefined };
  const data = into ?? new Uint8Array(answer.bytes);
  const filled = await fill(data, answer.body, target.Key, signal);
  if (filled !== answer.bytes || filled > end - start || (into !== undefined && filled !== into.byteLength))
    throw new BrokenBody(target.Key);
  const total = Number(/\/(\d+)$/.exec(answer.range ?? '')?.[1] ?? answer.bytes);
  return { data, total, etag: answer.etag };
}

interface Answer {
  readonly body: Readable;
  readonly bytes: number;
  /** Such as `bytes 0-9/100`. */
  readonly range: string | undefined;
  readonly etag: string | undefined;
}

/** Undefined for a range beyond the end, as any of an empty object is. */
async function request(
  { client, ranges }: DownloadDeps,
  target: S3Target,
  range: RangeRequest,
): Promise<Answer | undefined> {
  const plain = await ranges.open(target, range);
  if (plain !== undefined) {
    const { headers } = plain;
    return {
      body: plain,
      bytes: Number(headers['content-length']),
      range: headers['content-range'],
      etag: headers.etag,
    };
  }
  const { start, end, etag, signal } = range;
  const input = { ...target, Range: `bytes=${start}-${end - 1}`, ...(etag === undefined ? {} : { IfMatch: etag }) };
  try {
    const {
      Body,
      ContentLength = 0,
      ContentRange,
      ETag,
    } = await client.send(new GetObjectCommand(input), {
      abortSignal: signal,
    });
    return { body: Body as Readable, bytes: ContentLength, range: ContentRange, etag: ETag };
  } catch (error) {
    const { name, $metadata } = error as { readonly name?: string; readonly $metadata?: { httpStatusCode?: number } };
    if (name === 'InvalidRange' || $metadata?.httpStatusCode === 416) return undefined;
    throw error;
  }
}

/** Returns how many bytes came. */
async function fill(data: Uint8Array, body: Readable, key: string, signal: AbortSignal): Promise<number> {
  const onAbort = () => body.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  let filled = 0;
  try {
    signal.throwIfAborted();
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      if (filled + chunk.byteLength > data.byteLength) throw new BrokenBody(key);
      data.set(chunk, filled);
      filled += chunk.byteLength;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof BrokenBody ? error : new BrokenBody(key, error);
  } finally {
    signal.removeEventListener('abort', onAbort);
    body.destroy();
  }
  return filled;
}
