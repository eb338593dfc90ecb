import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import { z } from 'zod';

const contextSchema = z.object({ url: z.url(), token: z.string() });
const fileSchema = z.object({
  /** The one that commands without --url use; null: the server of this machine. */
  current: z.string().nullable(),
  contexts: z.record(z.string(), contextSchema),
});
export type Contexts = z.infer<typeof fileSchema>;

/** Only its owner may read what holds tokens. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** The servers that `clipyard login` has kept, with their tokens. */
export async function readContexts(file: string | undefined): Promise<Contexts> {
  const none = { current: null, contexts: {} };
  if (file === undefined) return none;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return none;
    throw error;
  }
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch (error) {
    const message = `${file} is not what \`clipyard login\` writes. Remove it, and log in again.`;
    throw new ClipyardError('config_invalid', message, { cause: error });
  }
}

export async function writeContexts(file: string | undefined, contexts: Contexts): Promise<void> {
  if (file === undefined) {
    const remedy = 'Set HOME, or XDG_CONFIG_HOME to a directory for settings.';
    throw fieldError('config_invalid', {
      path: 'HOME',
      message: 'is not set, so there is no place to keep it',
      remedy,
    });
  }
  await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE });
  const partial = `${file}.${process.pid}`;
  await writeFile(partial, `${JSON.stringify(contexts, undefined, 2)}\n`, { mode: FILE_MODE });
  await chmod(partial, FILE_MODE);
  await rename(partial, file);
}

/** The token that was kept for a server; no other server is sent it. */
export function tokenFor({ contexts, current }: Contexts, url: string): string | undefined {
  const { origin } = new URL(url);
  const chosen = current === null ? undefined : contexts[current];
  return [chosen, ...Object.values(contexts)].find((each) => each !== undefined && new URL(each.url).origin === origin)
    ?.token;
}
