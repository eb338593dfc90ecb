import type { Client } from '@clipyard/client';
import { isFinalJobState, type Job, type JobEvent } from '@clipyard/contracts';
import { formatBytes, formatDuration, formatPercent } from '../output/format.js';
import type { Terminal } from '../output/terminal.js';
import { readEvent } from './event-data.js';
import { advance, NO_PROGRESS, type Progress } from './progress.js';
import { progressLine } from './progress-line.js';

/** Time between lines where no line updates in place, ms. */
const LINE_EVERY_MS = 5000;

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Print every event as a line of JSON and nothing else. */
  readonly json: boolean;
}

/** Follows a job to its end through its events and shows them; resolves with the job and all that was seen. */
export async function watchJob(
  client: Client,
  jobId: string,
  terminal: Terminal,
  options: WatchOptions,
): Promise<{ job: Job; progress: Progress }> {
  let progress = NO_PROGRESS;
  let nextLineAt = 0;
  // What has ended is not told again event by event.
  const before = await client.get(jobId, { signal: options.signal });
  try {
    for await (const event of client.events(jobId, { signal: options.signal })) {
      // Every rank tells the plan, and all tell the same.
      const known = event.type === 'plan' && progress.plannedEpoch === event.epoch;
      progress = advance(progress, event);
      if (options.json) {
        terminal.out(JSON.stringify(event));
        continue;
      }
      if (isFinalJobState(before.state)) continue;
      for (const line of known ? [] : noteworthy(event)) terminal.out(line);
      if (terminal.isTty) terminal.status(progressLine(progress, { bar: true, columns: terminal.columns }));
      else if (event.type === 'metrics' && performance.now() >= nextLineAt) {
        terminal.out(progressLine(progress, { bar: false, columns: terminal.columns }));
        nextLineAt = performance.now() + LINE_EVERY_MS;
      }
    }
  } finally {
    terminal.status(undefined);
  }
  return { job: await client.get(jobId, { signal: options.signal }), progress };
}

/** What is told of an event besides the progress line. */
function noteworthy(event: JobEvent): string[] {
  const read = readEvent(event);
  switch (read?.type) {
    case 'job.state': {
      const { to, reason } = read.data;
      // The end is told last, by `outcome`.
      return isFinalJobState(to) ? [] : [`${to}${reason ? `: ${reason}` : ''}`];
    }
    case 'attempt.state': {
      const { to, worldSize = 0 } = read.data;
      if (to === 'running')
        return [`attempt ${event.epoch} runs with ${worldSize} ${worldSize === 1 ? 'rank' : 'ranks'}`];
      // Its ranks have told why.
      return to === 'failed' ? [`attempt ${event.epoch} failed`] : [];
    }
    case 'rank.state': {
      const { rank, to, error } = read.data;
      return to === 'lost' || to === 'failed' ? [`rank ${rank} ${to}${because(error)}`] : [];
    }
    case 'plan': {
      const { totalSteps, startStep, parameters, trainSamples, engine } = read.data;
      const from = startStep === 0 ? '' : `, from step ${startStep} on`;
      return [
        `trains ${parameters.toLocaleString('en-US')} parameters on ${trainSamples.toLocaleString('en-US')} samples for ${totalSteps} steps${from} (${engine})`,
      ];
    }
    case 'checkpoint':
      return [
        `checkpoint of step ${read.data.step}: ${formatBytes(read.data.bytes)}${read.data.url === undefined ? '' : ` in ${read.data.url}`}`,
      ];
    case 'evaluation':
      return [`evaluation after step ${read.data.step}: ${evaluationText(read.data.values)}`];
    case 'warning':
      return [`warning: ${read.data.message}`];
    case 'alarm': {
      const { state, code, step, message, remedy } = read.data;
      return state === 'cleared'
        ? [`alarm ${code} is over at step ${step}`]
        : [`alarm ${code} at step ${step}: ${message}`, `  ${remedy}`];
    }
    default:
      return [];
  }
}

function because(error: { code: string; message: string } | null | undefined): string {
  return error ? `: ${error.code}: ${error.message}` : '';
}

function evaluationText(values: Readonly<Record<string, number>>): string {
  const named: [string, string][] = [
    ['zero-shot seen', 'eval/zeroshot/seen'],
    ['unseen', 'eval/zeroshot/unseen'],
    ['text-to-image R@10', 'eval/retrieval/text_to_image/r10'],
  ];
  return named
    .flatMap(([name, key]) => (values[key] === undefined ? [] : [`${name} ${formatPercent(values[key])}`]))
    .join(', ');
}

/** The last line about a job. */
export function outcome(job: Job): string {
  const took =
    job.startedAt !== null && job.finishedAt !== null
      ? ` after ${formatDuration(Date.parse(job.finishedAt) - Date.parse(job.startedAt))}`
      : '';
  const why =
    job.error === null ? (job.reason === null ? '' : `: ${job.reason}`) : `: ${job.error.code}: ${job.error.message}`;
  return `${job.id} ${job.state}${took}${job.state === 'succeeded' ? '' : why}`;
}
