import type { Client, JobQuery } from '@clipyard/client';
import { isFinalJobState, type Job } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { formatAge, formatClock, formatCount, formatNumber } from '../output/format.js';
import { formatTable } from '../output/table.js';
import type { Terminal } from '../output/terminal.js';

/** Time between two looks, ms. */
const EVERY_MS = 2_000;
/** Time between lines about a job that goes on as before, where nothing is updated in place, ms. */
const LINE_EVERY_MS = 30_000;
const BAR_CELLS = 12;
const HEADING = ['JOB', 'NAME', 'STATE', 'PROGRESS', 'STEP', 'LOSS', 'SAMPLES/S', 'ETA', 'AGE'];

export interface WatchJobsOptions {
  readonly signal: AbortSignal;
  readonly json: boolean;
  readonly everyMs?: number;
}

/**
 * Shows jobs and how far they are until the signal is aborted, whose reason it throws: a table that is updated in place,
 * or, without a terminal, a line whenever a job changes its state and now and then between.
 */
export async function watchJobs(
  client: Client,
  query: JobQuery,
  terminal: Terminal,
  { signal, json, everyMs = EVERY_MS }: WatchJobsOptions,
): Promise<never> {
  const told = new Map<string, { state: string; at: number }>();
  try {
    for (;;) {
      const { items } = await client.list(query, { signal });
      if (json) terminal.out(JSON.stringify({ items }));
      else if (terminal.isTty) terminal.block(jobTable(items));
      else for (const line of newLines(items, told, performance.now())) terminal.out(line);
      await sleep(everyMs, { signal });
    }
  } finally {
    terminal.block(undefined);
  }
}

export function jobTable(jobs: readonly Job[]): string[] {
  if (jobs.length === 0) return ['no jobs'];
  return formatTable(HEADING, jobs.map(cells));
}

/** Lines about jobs in a new state, and about those of which none came for a while; keeps in `told` what was said. */
export function newLines(
  jobs: readonly Job[],
  told: Map<string, { state: string; at: number }>,
  now: number,
): string[] {
  return jobs.flatMap((job) => {
    const before = told.get(job.id);
    const due = before === undefined || before.state !== job.state || (isGoing(job) && now - before.at > LINE_EVERY_MS);
    if (!due) return [];
    told.set(job.id, { state: job.state, at: now });
    const [id, name, state, , step, loss, speed, eta] = cells(job);
    return [`${id} ${name} ${state} step ${step} loss ${loss} samples/s ${speed} ETA ${eta}`];
  });
}

const isGoing = (job: Job): boolean => !isFinalJobState(job.state) && job.state !== 'queued' && job.state !== 'paused';

function cells(job: Job): string[] {
  const { step, totalSteps, latest } = job;
  const { loss, 'speed/samples_per_second': speed } = latest;
  const running = job.state === 'running';
  const eta =
    running && totalSteps !== null && speed !== undefined && speed > 0 && 'batch' in job.spec
      ? formatClock((((totalSteps - step) * job.spec.batch.global) / speed) * 1000)
      : '-';
  return [
    job.id,
    job.name,
    job.state,
    totalSteps === null ? '' : bar(totalSteps === 0 ? 1 : step / totalSteps),
    `${step}/${totalSteps ?? '-'}`,
    loss === undefined ? '-' : formatNumber(loss),
    running && speed !== undefined ? formatCount(speed) : '-',
    eta,
    formatAge(job.createdAt),
  ];
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_CELLS);
  return '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
}
