import { fieldError, isFinalJobState, type Job, type JobSort, type JobState } from '@clipyard/contracts';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { evaluationLines } from '../output/evaluation-lines.js';
import { formatAge, formatNumber } from '../output/format.js';
import { formatPairs, formatTable } from '../output/table.js';
import { applySettings, readSpecFile } from '../spec-file.js';
import { resultPairs } from '../watch/result-table.js';
import { outcome, watchJob } from '../watch/watch-job.js';
import { watchJobs } from '../watch/watch-jobs.js';

export async function submit(
  context: Context,
  file: string,
  options: ServerOptions & { watch?: boolean; set: string[] },
): Promise<number> {
  const { terminal, signal } = context;
  const spec = applySettings(await readSpecFile(file), options.set);
  const client = await clientOf(context, options);
  const job = await client.submit(spec, { signal });
  terminal.id(job.id);
  if (options.watch === true) {
    if (options.json !== true) terminal.out(`submitted ${job.id}`);
    return await watch(context, job.id, options);
  }
  terminal.out(
    options.json === true ? JSON.stringify(job) : `submitted ${job.id}; watch it with: clipyard watch ${job.id}`,
  );
  return EXIT.ok;
}

export interface PsOptions extends ServerOptions {
  readonly state: readonly JobState[];
  readonly label: readonly string[];
  readonly text?: string;
  readonly since?: string;
  readonly before?: string;
  readonly sort?: JobSort;
  readonly limit?: number;
  readonly watch?: boolean;
}

export async function ps(context: Context, options: PsOptions): Promise<number> {
  const { terminal, signal } = context;
  const { state, label, text, since, before, sort, limit = 20 } = options;
  const client = await clientOf(context, options);
  const query = {
    limit,
    state,
    label,
    ...(text === undefined ? {} : { text }),
    ...(since === undefined ? {} : { createdAfter: timeOf('--since', since) }),
    ...(before === undefined ? {} : { createdBefore: timeOf('--before', before) }),
    ...(sort === undefined ? {} : { sort }),
  };
  if (options.watch === true) return await watchJobs(client, query, terminal, { signal, json: options.json === true });
  const page = await client.list(query, { signal });
  for (const { id } of page.items) terminal.id(id);
  if (options.json === true) terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) terminal.out('no jobs');
  else {
    for (const line of formatTable(['JOB', 'NAME', 'STATE', 'STEP', 'RANKS', 'LOSS', 'AGE'], page.items.map(row)))
      terminal.out(line);
    if (page.nextCursor !== null) terminal.out(`the first ${page.items.length}; --limit shows more`);
  }
  return EXIT.ok;
}

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A time as ISO 8601 from a time, or from an age such as 90m, 12h or 7d. Throws `request_invalid`. */
function timeOf(path: string, text: string): string {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const at = unit === undefined ? Date.parse(text) : Date.now() - Number(count) * UNITS[unit as keyof typeof UNITS];
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw fieldError('request_invalid', {
    path,
    message: 'is neither a time nor an age',
    value: text,
    remedy: 'Write it as 2026-01-31, 2026-01-31T12:00Z, 90m, 12h or 7d.',
  });
}

function row(job: Job): string[] {
  const { loss } = job.latest;
  return [
    job.id,
    job.name,
    job.state,
    `${job.step}/${job.totalSteps ?? '-'}`,
    String(job.worldSize ?? '-'),
    loss === undefined ? '-' : formatNumber(loss),
    formatAge(job.createdAt),
  ];
}

/** Exit code 1 when the job failed or was cancelled. */
export async function watch(context: Context, jobId: string, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const { job } = await watchJob(client, jobId, terminal, { signal, json: options.json === true });
  if (options.json !== true) {
    terminal.out(outcome(job));
    if (job.state === 'succeeded' && job.spec.type === 'evaluate') {
      const found = (await client.evaluations(job.id, { signal })).at(-1);
      for (const line of found === undefined ? [] : evaluationLines(found)) terminal.out(`  ${line}`);
    } else if (job.state === 'succeeded') {
      const newest = [...(await client.checkpoints(job.id, { signal }))].sort((a, b) => b.step - a.step)[0];
      for (const line of formatPairs(resultPairs(job, newest))) terminal.out(`  ${line}`);
    }
  }
  return isFinalJobState(job.state) && job.state !== 'succeeded' ? EXIT.failed : EXIT.ok;
}

/** `cancel`, `pause`, `resume` and `retry`: asks for it and prints the state that the job is in then. */
export async function act(
  action: 'cancel' | 'pause' | 'resume' | 'retry',
  context: Context,
  jobId: string,
  options: ServerOptions,
): Promise<number> {
  const client = await clientOf(context, options);
  const job = await client[action](jobId, { signal: context.signal });
  context.terminal.out(options.json === true ? JSON.stringify(job) : `${job.id} ${job.state}`);
  return EXIT.ok;
}
