import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ClipyardError } from '@clipyard/contracts';
import { retry } from '@clipyard/runtime';
import { untilAborted } from './until-aborted.js';

/** Bytes of a part of an upload; a shorter blob goes as one request. */
export const UPLOAD_PART_BYTES = 8 << 20;
/** Parts of one upload that are under way at once: so many and one more are held in memory. */
const UPLOAD_CONCURRENCY = 4;
/** Parts that S3 takes of one upload. */
const MAX_UPLOAD_PARTS = 10_000;
/** Time for the request that takes an unfinished upload away, after a failure or an abort, ms. */
const CLEANUP_TIMEOUT_MS = 30_000;

/** Tries of a request that conflicts with another one. */
const CONFLICT_TRIES = 6;

/** Of one object. */
export interface S3Target {
  readonly Bucket: string;
  readonly Key: string;
}

/**
 * Writes an object, in parts when it is long; every request carries a checksum that the server verifies. After a failure
 * or an abort the unfinished upload is taken away. lib-storage's `Upload` does not do: an abort reaches no request under
 * way there, and leaves the upload behind while the body hangs.
 */
export async function upload(
  client: S3Client,
  target: S3Target,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let multipart: MultipartUpload | undefined;
  try {
    for await (const { data, last } of partsOf(body, signal)) {
      hash.update(data);
      bytes += data.byteLength;
      if (multipart === undefined && last) {
        const put = new PutObjectCommand({ ...target, Body: data });
        await throughConflicts(() => client.send(put, { abortSignal: signal }), signal);
      } else {
        multipart ??= await MultipartUpload.create(client, target, signal);
        await multipart.add(data);
      }
    }
    signal.throwIfAborted();
    await multipart?.complete();
  } catch (error) {
    await multipart?.abandon();
    throw error;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * Repeats a request while the server says that it conflicts with another one under way: S3 does for two writers of one
 * key, servers over a file system also where a neighbour is deleted.
 */
function throughConflicts<T>(request: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return retry(request, {
    ...(signal === undefined ? {} : { signal }),
    backoff: { initialMs: 50, maxMs: 1_000 },
    shouldRetry: (error, attempts) =>
      (error as S3ServiceException).$metadata?.httpStatusCode === 409 && attempts < CONFLICT_TRIES,
  });
}

class MultipartUpload {
  readonly #client: S3Client;
  readonly #upload: S3Target & { readonly UploadId: string };
  readonly #parts: CompletedPart[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #count = 0;
  #failure: { readonly error: unknown } | undefined;

  private constructor(client: S3Client, target: S3Target, uploadId: string, signal: AbortSignal) {
    this.#client = client;
    this.#upload = { ...target, UploadId: uploadId };
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Does not stop at an abort: an upload whose id did not arrive could not be taken away. */
  static async create(client: S3Client, target: S3Target, signal: AbortSignal): Promise<MultipartUpload> {
    const checks = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ ...target, ...(checks ? { ChecksumAlgorithm: 'CRC32' } : {}) }),
    );
    if (UploadId === undefined) throw new ClipyardError('storage_failed', 'The S3 server gave the upload no id');
    return new MultipartUpload(client, target, UploadId, signal);
  }

  /** Resolves when the next part may be added. Throws the error of any part so far. */
  async add(data: Uint8Array): Promise<void> {
    if (this.#count === MAX_UPLOAD_PARTS) {
      const most = (UPLOAD_PART_BYTES * MAX_UPLOAD_PARTS) / 2 ** 30;
      throw new ClipyardError('storage_failed', `A blob in S3 has at most ${Math.floor(most)} GiB here`);
    }
    const part = this.#send(++this.#count, data).then(
      () => undefined,
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    this.#pending.add(part);
    part.finally(() => this.#pending.delete(part));
    if (this.#pending.size >= UPLOAD_CONCURRENCY) await Promise.race(this.#pending);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async complete(): Promise<void> {
    await Promise.all(this.#pending);
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#parts.sort((a, b) => a.PartNumber! - b.PartNumber!);
    // Not stopped by an abort either: from here on the blob is whole or not there.
    const complete = new CompleteMultipartUploadCommand({ ...this.#upload, MultipartUpload: { Parts: this.#parts } });
    await throughConflicts(() => this.#client.send(complete));
  }

  /** Takes the upload away; a part that still arrived after that would stay, so they end first. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#pending);
    const abortSignal = AbortSignal.timeout(CLEANUP_TIMEOUT_MS);
    // The failure that led here is the one to report; what stays behind is removed by a later writer.
    await this.#client
      .send(new AbortMultipartUploadCommand(this.#upload), { abortSignal })
      .then(undefined, () => undefined);
  }

  async #send(PartNumber: number, Body: Uint8Array): Promise<void> {
    const answer = await this.#client.send(new UploadPartCommand({ ...this.#upload, PartNumber, Body }), {
      abortSignal: this.#signal,
    });
    const { ETag, ChecksumCRC32 } = answer;
    this.#parts.push({ PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) });
  }
}

/** The body in pieces of `UPLOAD_PART_BYTES`, each of its own memory; the last may be shorter, or the only one empty. */
async function* partsOf(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<{ data: Uint8Array; last: boolean }> {
  let part = Buffer.alloc(0);
  let filled = 0;
  for await (const chunk of body instanceof Uint8Array ? [body] : untilAborted(body, signal)) {
    for (let at = 0; at < chunk.byteLength; ) {
      if (filled === UPLOAD_PART_BYTES) {
        yield { data: part, last: false };
        signal.throwIfAborted();
        part = Buffer.alloc(0);
        filled = 0;
      }
      const take = Math.min(chunk.byteLength - at, UPLOAD_PART_BYTES - filled);
      if (filled + take > part.length) part = grown(part, filled, filled + take);
      part.set(chunk.subarray(at, at + take), filled);
      filled += take;
      at += take;
    }
  }
  yield { data: part.subarray(0, filled), last: true };
}

/** Room for `bytes`, at most a part: small blobs take little, long ones a part at once. */
function grown(part: Buffer, filled: number, bytes: number): Buffer<ArrayBuffer> {
  const room = Buffer.allocUnsafeSlow(Math.min(UPLOAD_PART_BYTES, Math.max(bytes, 2 * part.length, 64 << 10)));
  part.copy(room, 0, 0, filled);
  return room;
}
