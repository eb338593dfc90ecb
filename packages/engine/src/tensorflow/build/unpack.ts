import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ClipyardError } from '@clipyard/contracts';
import { extract } from 'tar';
import { type Entry, openPromise } from 'yauzl';
import { wrongSource } from './build-error.js';

/** What is needed of a wheel: its requirements, the headers of the C interface, what they include, and the libraries. */
const NEEDED =
  /^(?:tensorflow\/(?:include\/(?:tensorflow\/c\/|tensorflow\/core\/platform\/ctstring|tsl\/platform\/ctstring|xla\/tsl\/c\/)[\w./-]*\.h|lib\w+\.so(?:\.\d+)*)|tensorflow-[\w.]+\.dist-info\/METADATA|nvidia\/\w+\/(?:lib|bin|nvvm)\/[\w./+-]+)$/;
/** Largest sum of the files that are unpacked. */
const MAX_UNPACKED_BYTES = 16 * 1024 * 1024 * 1024;

/** Unpacks a wheel or an archive of the C library into `folder`. Throws `request_invalid` and `disk_full`. */
export async function unpack(source: string, folder: string, signal?: AbortSignal): Promise<void> {
  const start = await firstBytes(source);
  if (start[0] === 0x50 && start[1] === 0x4b) return unpackWheel(source, folder, signal);
  if (start[0] === 0x1f && start[1] === 0x8b) return unpackArchive(source, folder, signal);
  throw wrongSource(source, 'is neither a wheel nor a .tar.gz');
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return buffer;
  } finally {
    await file.close();
  }
}

async function unpackWheel(source: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  let zip: Awaited<ReturnType<typeof openPromise>>;
  try {
    zip = await openPromise(source, { lazyEntries: true, autoClose: false });
  } catch (error) {
    throw wrongSource(source, `is damaged (${(error as Error).message})`, 'Download it again.');
  }
  try {
    const entries: Entry[] = [];
    for await (const entry of zip.eachEntry()) if (NEEDED.test(entry.fileName)) entries.push(entry);
    await checkSpace(
      folder,
      entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0),
      source,
    );
    for (const entry of entries) {
      const path = join(folder, entry.fileName);
      await mkdir(dirname(path), { recursive: true });
      // Programs stay executable: TensorFlow starts ptxas.
      const mode = ((entry.externalFileAttributes >>> 16) & 0o777) | 0o644;
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { flags: 'wx', mode }), {
        ...(signal === undefined ? {} : { signal }),
      });
    }
  } finally {
    zip.close();
  }
}

async function unpackArchive(source: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  // Libraries compress to about a fifth.
  await checkSpace(folder, 6 * (await stat(source)).size, source);
  let bytes = 0;
  try {
    await pipeline(
      createReadStream(source),
      extract({
        cwd: folder,
        strict: true,
        filter: (path, entry) => {
          bytes += entry.size ?? 0;
          return /^(?:\.\/)?(?:include|lib)\//.test(path) && bytes <= MAX_UNPACKED_BYTES;
        },
      }),
      { ...(signal === undefined ? {} : { signal }) },
    );
  } catch (error) {
    if (signal?.aborted || (error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    throw wrongSource(source, `is damaged (${(error as Error).message})`, 'Download it again.');
  }
}

/** Throws `disk_full` unless `bytes` fit where `folder` is. */
export async function checkSpace(
  folder: string,
  bytes: number,
  what: string,
  limit = MAX_UNPACKED_BYTES,
): Promise<void> {
  if (bytes > limit) throw wrongSource(what, `would unpack to ${gigabytes(bytes)}`);
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  throw new ClipyardError(
    'disk_full',
    `${what} needs ${gigabytes(bytes)} below ${folder}, where ${gigabytes(bavail * bsize)} are free. Free some, or set CLIPYARD_HOME to another disk.`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
