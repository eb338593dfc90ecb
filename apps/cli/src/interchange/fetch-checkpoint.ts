import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Checkpoint, fieldError } from '@clipyard/contracts';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { formatBytes } from '../output/format.js';

/** A checkpoint, or any directory or file of weights, on this machine. */
export interface LocalCheckpoint {
  readonly path: string;
  /** What it is, for people. */
  readonly where: string;
  /** Removes what was fetched. */
  remove(): Promise<void>;
}

const JOB = /^(?:job:)?(job-[\w-]+?)(?:@(\d+))?$/;

/** `source`: a path, or a job, the newest of whose checkpoints is meant unless `@step` follows. */
export async function fetchCheckpoint(
  context: Context,
  source: string,
  options: ServerOptions,
): Promise<LocalCheckpoint> {
  const [, jobId, step] = source.match(JOB) ?? [];
  if (jobId === undefined || (await exists(source))) return { path: source, where: source, remove: async () => {} };
  const client = await clientOf(context, options);
  const { signal, terminal } = context;
  const checkpoint = chosen(await client.checkpoints(jobId, { signal }), source, step);
  const where = `job ${jobId}, step ${checkpoint.step}`;
  const here = checkpoint.url.startsWith('file:') ? fileURLToPath(checkpoint.url) : undefined;
  if (here !== undefined && (await exists(join(here, 'manifest.json'))))
    return { path: here, where, remove: async () => {} };

  const path = await mkdtemp(join(tmpdir(), 'clipyard-checkpoint-'));
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true });
  try {
    const names = checkpoint.files.map(({ name }) => name).filter((name) => !name.startsWith('optim-'));
    for (const name of [...names, 'manifest.json']) {
      terminal.status(`fetching ${name} of ${formatBytes(checkpoint.bytes)} in all`);
      await pipeline(client.checkpointFile(checkpoint.id, name, { signal }), createWriteStream(join(path, name)));
    }
    return { path, where, remove };
  } catch (error) {
    await remove();
    throw error;
  } finally {
    terminal.status(undefined);
  }
}

function chosen(checkpoints: readonly Checkpoint[], source: string, step: string | undefined): Checkpoint {
  const newestFirst = [...checkpoints].sort((a, b) => b.step - a.step);
  const found = step === undefined ? newestFirst[0] : newestFirst.find((other) => other.step === Number(step));
  if (found !== undefined) return found;
  throw fieldError('not_found', {
    path: 'source',
    message: step === undefined ? 'has no checkpoint yet' : 'names a step of which there is no checkpoint',
    value: source,
    remedy:
      newestFirst.length === 0
        ? 'Wait until it has written one.'
        : `It has those of steps ${newestFirst.map((other) => other.step).join(', ')}.`,
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
