import { existsSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import type { Client } from '@clipyard/client';
import { evaluationSections, fieldError } from '@clipyard/contracts';
import { parse } from 'yaml';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { evaluationLines } from '../output/evaluation-lines.js';
import { applySettings, readSpecFile } from '../spec-file.js';
import { watch } from './jobs.js';

export interface EvaluateOptions extends ServerOptions {
  /** Types of tasks, or whole ones in YAML. */
  readonly task: readonly string[];
  readonly spec?: string;
  readonly ranks?: number;
  readonly set: readonly string[];
  readonly watch: boolean;
}

/** A checkpoint of a job, as `<job>` or `<job>@<step>`. */
const JOB_CHECKPOINT = /^(?:job:)?(job-\w+)(?:@(\d+))?$/;

/** Submits an evaluation of a checkpoint, follows it, and prints what it found. */
export async function evaluate(context: Context, checkpoint: string, options: EvaluateOptions): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const spec = await evaluationSpec(context, client, checkpoint, options);
  const job = await client.submit(spec, { signal });
  if (!options.watch) {
    terminal.out(
      options.json === true ? JSON.stringify(job) : `submitted ${job.id}; read it with: clipyard results ${job.id}`,
    );
    return EXIT.ok;
  }
  if (options.json !== true) terminal.out(`submitted ${job.id}`);
  return await watch(context, job.id, options);
}

/** Prints what the last evaluation of a job found; with --json all of its evaluations. */
export async function results(context: Context, jobId: string, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const found = await (await clientOf(context, options)).evaluations(jobId, { signal });
  if (options.json === true) terminal.out(JSON.stringify(found));
  else if (found.length === 0) terminal.out('no evaluations yet');
  else for (const line of evaluationLines(found.at(-1)!)) terminal.out(line);
  return EXIT.ok;
}

/** From the job that the checkpoint is of, if it is of one, then --spec, --task and --set, in this order. */
async function evaluationSpec(
  context: Context,
  client: Client,
  checkpoint: string,
  options: EvaluateOptions,
): Promise<unknown> {
  const [, jobId, step] = checkpoint.match(JOB_CHECKPOINT) ?? [];
  const job = jobId === undefined ? undefined : await client.get(jobId, { signal: context.signal });
  const init =
    job === undefined ? fileInit(context, checkpoint) : `job:${job.id}${step === undefined ? '' : `@${step}`}`;
  const given = options.spec === undefined ? {} : ((await readSpecFile(options.spec)) as Record<string, unknown>);
  const base: Record<string, unknown> = job === undefined ? {} : evaluationSections(job.spec);
  const spec: Record<string, unknown> = {
    version: 1,
    name: job === undefined ? 'evaluation' : `evaluate-${job.name}`.slice(0, 100),
    ...base,
    ...given,
    type: 'evaluate',
    model: { ...(base.model as object | undefined), ...(given.model as object | undefined), init },
  };
  if (options.task.length > 0)
    spec.evaluate = { ...(spec.evaluate as object | undefined), tasks: options.task.map(taskOf) };
  if (options.ranks !== undefined) {
    const world = { min: options.ranks, max: options.ranks };
    spec.resources = { ...(spec.resources as object | undefined), world };
  }
  return applySettings(spec, options.set);
}

function taskOf(text: string): unknown {
  const task: unknown = parse(text);
  return typeof task === 'string' ? { type: task } : task;
}

/** Files are named from the data directory, where every worker finds them. */
function fileInit({ config }: Context, path: string): string {
  const { dataDir } = config.up;
  const found = [resolve(path), resolve(dataDir, path)].find((candidate) => existsSync(candidate));
  const way = found === undefined ? '..' : relative(dataDir, found);
  if (way !== '..' && !way.startsWith(`..${sep}`)) return `file:${way === '' ? '.' : way}`;
  throw fieldError('request_invalid', {
    path: 'checkpoint',
    message: found === undefined ? 'is neither a job nor a file' : `lies outside the data directory ${dataDir}`,
    value: path,
    remedy:
      found === undefined
        ? 'Name it as <job>, as <job>@<step>, or by the path of a directory with weights.'
        : 'Put it there, so that every worker finds it, or name a checkpoint as <job>@<step>.',
  });
}
