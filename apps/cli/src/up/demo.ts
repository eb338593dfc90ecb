import { join } from 'node:path';
import type { Client } from '@clipyard/client';
import { isFinalJobState, type Job, type PredictionSample } from '@clipyard/contracts';
import type { Config } from '../config.js';
import { formatPairs } from '../output/table.js';
import type { Terminal } from '../output/terminal.js';
import { readSpecFile } from '../spec-file.js';
import { readEvent } from '../watch/event-data.js';
import { resultPairs } from '../watch/result-table.js';
import { chooseSamples, showSamples } from '../watch/samples.js';
import { outcome, watchJob } from '../watch/watch-job.js';

export const DEMO_SPEC = 'examples/shapes.yaml';
/** The demo is found again by this label of its spec. */
const DEMO_LABEL = 'demo=shapes';

interface Demo {
  readonly client: Client;
  readonly config: Config;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Trains the demo over REST and shows it, or shows the earlier result: a demo that succeeded in this home is not
 * trained again, one that was interrupted is watched on, one that failed is submitted anew.
 */
export async function runDemo(demo: Demo): Promise<Job> {
  const { client, terminal, signal } = demo;
  const { items: earlier } = await client.list({ label: DEMO_LABEL, limit: 100 }, { signal });
  const succeeded = earlier.find((job) => job.state === 'succeeded');
  if (succeeded !== undefined) {
    terminal.out('The demo has been trained here before; this is its result.');
    await showResult(demo, succeeded, await storedSamples(demo, succeeded.id));
    return succeeded;
  }
  const active = earlier.find((job) => !isFinalJobState(job.state));
  if (active !== undefined) terminal.out(`The demo was interrupted; it goes on: ${active.id}`);
  const submitted = active ?? (await client.submit(await readSpecFile(join(demo.config.root, DEMO_SPEC)), { signal }));
  if (active === undefined) terminal.out(`submitted ${DEMO_SPEC} as ${submitted.id}`);
  const { job, progress } = await watchJob(client, submitted.id, terminal, { signal, json: false });
  terminal.out(outcome(job));
  if (job.state === 'succeeded') await showResult(demo, job, progress.samples);
  return job;
}

async function showResult(
  { client, config, terminal, signal }: Demo,
  job: Job,
  samples: readonly PredictionSample[],
): Promise<void> {
  const checkpoints = await client.checkpoints(job.id, { signal });
  const newest = [...checkpoints].sort((a, b) => b.step - a.step)[0];
  terminal.out('');
  for (const line of formatPairs(resultPairs(job, newest))) terminal.out(`  ${line}`);
  const chosen = chooseSamples(samples);
  if (chosen.length > 0) {
    terminal.out('');
    terminal.out('What it says of pictures that it has not seen:');
    await showSamples(chosen, terminal, join(config.home, 'samples'));
  }
  terminal.out('');
  terminal.out(
    terminal.isTty
      ? 'Try next, in another terminal:'
      : 'Try next, after `npm start` in a terminal, where the server stays up:',
  );
  for (const command of nextCommands(client.url, job)) terminal.out(`  ${command}`);
}

function nextCommands(url: string, job: Job): string[] {
  return [
    `npm run clipyard -- submit ${DEMO_SPEC} --set batch.global=256 --set name=bigger --watch`,
    `npm run clipyard -- logs ${job.id}`,
    `curl -s '${url}/v1/jobs/${job.id}/metrics?name=loss'`,
  ];
}

/** The pictures with predictions of the last evaluation, from the stored events. */
async function storedSamples({ client, signal }: Demo, jobId: string): Promise<readonly PredictionSample[]> {
  let samples: readonly PredictionSample[] = [];
  for await (const event of client.events(jobId, { signal })) {
    const read = readEvent(event);
    if (read?.type === 'evaluation' && read.data.samples.length > 0) samples = read.data.samples;
  }
  return samples;
}
