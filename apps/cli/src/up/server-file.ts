import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const schema = z.object({
  url: z.url(),
  pids: z.object({ up: z.int(), api: z.int(), worker: z.int() }),
});
export type ServerFile = z.infer<typeof schema>;

const fileOf = (home: string) => join(home, 'server.json');

/** What a running `clipyard up` says of itself in `<home>/server.json`; undefined when none runs. */
export async function readServerFile(home: string): Promise<ServerFile | undefined> {
  let text: string;
  try {
    text = await readFile(fileOf(home), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return schema.parse(JSON.parse(text));
}

export async function writeServerFile(home: string, server: ServerFile): Promise<void> {
  const partial = `${fileOf(home)}.${process.pid}`;
  await writeFile(partial, `${JSON.stringify(server, undefined, 2)}\n`);
  await rename(partial, fileOf(home));
}

export async function removeServerFile(home: string): Promise<void> {
  await rm(fileOf(home), { force: true });
}
