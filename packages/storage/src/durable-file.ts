import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { untilAborted } from './until-aborted.js';

/** Attempts to put a file into a directory that a concurrent delete keeps pruning. */
const RENAME_ATTEMPTS = 8;

/** Writes `body` to a new file at `path` and flushes it to disk; returns its length and the hex sha256 of its bytes. */
export async function writeFlushed(
  path: string,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx');
  try {
    for await (const chunk of body instanceof Uint8Array ? [body] : untilAborted(body, signal)) {
      hash.update(chunk);
      await writeAll(file, chunk);
      bytes += chunk.byteLength;
    }
    signal?.throwIfAborted();
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** `write` may take less than it is given, when the disk fills up for instance; the next call then says why. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.byteLength) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.byteLength - offset);
    offset += bytesWritten;
  }
}

/** Renames a flushed file to its final place, durably: the entry, and every directory made for it, survive a power cut. */
export async function publish(from: string, to: string, root: string): Promise<void> {
  const directory = dirname(to);
  for (let attempt = 1; ; attempt++) {
    const firstMade = await mkdir(directory, { recursive: true });
    try {
      await rename(from, to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === RENAME_ATTEMPTS) throw error;
      continue;
    }
    const last = firstMade === undefined ? directory : dirname(firstMade);
    for (let at = directory; ; at = dirname(at)) {
      await flushDirectory(at);
      if (at === last || at === root) return;
    }
  }
}

export async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
