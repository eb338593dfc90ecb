import { fieldError } from '@clipyard/contracts';
import { keyAndValue } from '../arguments.js';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { parseSetting } from '../spec-file.js';
import { watch } from './jobs.js';

/** What changes, copies and removes jobs that exist. */

export interface EditOptions extends ServerOptions {
  readonly name?: string;
  readonly priority?: number;
  /** `key=value` */
  readonly label: readonly string[];
  /** Keys. */
  readonly removeLabel: readonly string[];
}

export async function edit(context: Context, jobId: string, options: EditOptions): Promise<number> {
  const { name, priority } = options;
  const labels: Record<string, string | null> = Object.fromEntries([
    ...options.removeLabel.map((key) => [key, null]),
    ...options.label.map(keyAndValue),
  ]);
  const patch = {
    ...(name === undefined ? {} : { name }),
    ...(priority === undefined ? {} : { priority }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  };
  if (Object.keys(patch).length === 0)
    throw usage('options', 'change nothing', undefined, 'Give --name, --priority, --label or --remove-label.');
  const job = await (await clientOf(context, options)).edit(jobId, patch, { signal: context.signal });
  const shown = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
  context.terminal.out(
    options.json === true
      ? JSON.stringify(job)
      : `${job.id} ${job.name}, priority ${job.priority}${shown.length === 0 ? '' : `, ${shown.join(', ')}`}`,
  );
  return EXIT.ok;
}

const usage = (path: string, message: string, value: unknown, remedy: string) =>
  fieldError('request_invalid', { path, message, value, remedy });

export interface ForkOptions extends ServerOptions {
  readonly resume?: boolean;
  readonly name?: string;
  readonly set: readonly string[];
  readonly watch?: boolean;
}

/** `source` is a job, or `job@step`. */
export async function fork(context: Context, source: string, options: ForkOptions): Promise<number> {
  const { terminal, signal } = context;
  const [, jobId = source, step] = source.match(/^(.+)@(\d{1,9})$/) ?? [];
  const set = Object.fromEntries(options.set.map(parseSetting));
  const job = await (await clientOf(context, options)).fork(
    jobId,
    {
      ...(step === undefined ? {} : { step: Number(step) }),
      resume: options.resume === true,
      set: { ...(options.name === undefined ? {} : { name: options.name }), ...set },
    },
    { signal },
  );
  terminal.id(job.id);
  if (options.json === true && options.watch !== true) terminal.out(JSON.stringify(job));
  else if (options.json !== true) terminal.out(`submitted ${job.id} (${job.name}) from ${job.spec.model.init}`);
  return options.watch === true ? await watch(context, job.id, options) : EXIT.ok;
}

export async function remove(context: Context, jobIds: readonly string[], options: ServerOptions): Promise<number> {
  const client = await clientOf(context, options);
  for (const id of jobIds) {
    await client.delete(id, { signal: context.signal });
    context.terminal.out(options.json === true ? JSON.stringify({ id, removed: true }) : `${id} removed`);
  }
  return EXIT.ok;
}
