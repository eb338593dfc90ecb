import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fieldError } from '@clipyard/contracts';
import type { OutputFile } from '@clipyard/trainer';

/** A folder that is written into, file by file: each is whole, or not there. */
export class OutputFolder {
  readonly files: { name: string; bytes: number; sha256: string }[] = [];

  private constructor(readonly path: string) {}

  /** Makes the folder. Throws `request_invalid` when something lies in it. */
  static async create(path: string): Promise<OutputFolder> {
    const full = resolve(path);
    const refused = (message: string) =>
      fieldError('request_invalid', { path: '--out', message, value: path, remedy: 'Name a new or an empty folder.' });
    try {
      await mkdir(full, { recursive: true });
    } catch (error) {
      throw refused(`cannot be made (${(error as NodeJS.ErrnoException).code})`);
    }
    if ((await readdir(full)).length > 0) throw refused('is not empty');
    return new OutputFolder(full);
  }

  async write({ name, body }: OutputFile): Promise<void> {
    const unfinished = join(this.path, `.${name}.unfinished`);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      const file = await open(unfinished, 'w');
      try {
        for await (const chunk of body instanceof Uint8Array ? [body] : body) {
          await file.writeFile(chunk);
          hash.update(chunk);
          bytes += chunk.byteLength;
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, join(this.path, name));
    } catch (error) {
      await rm(unfinished, { force: true });
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
      throw fieldError('disk_full', {
        path: '--out',
        message: `has no space left for ${name}`,
        value: this.path,
        remedy: 'Free space, or name a folder on another disk.',
      });
    }
    this.files.push({ name, bytes, sha256: hash.digest('hex') });
  }
}
