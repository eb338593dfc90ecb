import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job, MetricPoint } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { AgentHarness, PATIENCE_MS, type Servers, spec, startServers } from './test-agent-harness.js';

vi.setConfig({ testTimeout: 3 * PATIENCE_MS, hookTimeout: PATIENCE_MS });

let servers: Servers;
let harness: AgentHarness;

beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers.close());
beforeEach(async () => {
  harness = await AgentHarness.open(servers);
});
afterEach(() => harness.close());

/** A run of one rank that is evaluated at steps 10, 20 and 24. */
const evaluated = (mode: 'inline' | 'separate') =>
  spec(24, {
    data: {
      train: { type: 'shapes', samples: 1000 },
      eval: { type: 'shapes', seed: 1, samples: 256, split: 'all' },
      evalSamples: 256,
    },
    optimizer: { lr: 1e-3, emaDecay: 0.9 },
    schedule: { warmupSteps: 2 },
    evaluate: { everySteps: 10, mode, tasks: [{ type: 'zeroshot' }, { type: 'retrieval' }] },
    checkpoint: { everySteps: 16, keepLast: 1 },
    resources: { world: { min: 1, max: 1 } },
  });

async function submit(mode: 'inline' | 'separate'): Promise<string> {
  return (await harness.plane.submitJob(evaluated(mode))).job.id;
}

async function figures(jobId: string): Promise<Pick<MetricPoint, 'name' | 'step' | 'value'>[]> {
  const points = await harness.plane.listMetrics(jobId, { limit: 10_000 });
  return points.filter(({ name }) => name.startsWith('eval/')).map(({ name, step, value }) => ({ name, step, value }));
}

/** The events of a run until its evaluations have ended too. */
async function told(jobId: string) {
  const events = [];
  for await (const event of harness.plane.events(jobId, { signal: AbortSignal.timeout(2 * PATIENCE_MS) }))
    events.push(event);
  return events;
}

const evaluationsOf = async (jobId: string): Promise<readonly Job[]> =>
  (await harness.plane.listJobs({ label: [`evaluates=${jobId}`], limit: 50 })).items;

it('finds bit for bit what the run itself would have found at these steps, though a rank of it is killed', async () => {
  await harness.agent();
  const inline = await submit('inline');
  await told(inline);
  const separate = await submit('separate');
  const events = told(separate);
  const [first] = await vi.waitUntil(async () => {
    const jobs = await evaluationsOf(separate);
    return jobs.length > 0 && jobs;
  }, PATIENCE_MS);
  await harness.reach(first!.id, 'its rank', ({ epoch }) => epoch === 1);
  const pid = await vi.waitUntil(async () => (await harness.pidsOf(first!.id))[0], PATIENCE_MS);
  process.kill(pid!, 'SIGKILL');

  const seen = (await events).filter(({ type }) => type === 'evaluation');
  expect(seen.map(({ data }) => [data.step, data.final]).sort()).toEqual([
    [10, false],
    [20, false],
    [24, true],
  ]);
  const expected = await figures(inline);
  expect(new Set(expected.map(({ step }) => step))).toEqual(new Set([10, 20, 24]));
  expect(await figures(separate)).toEqual(expected);
  expect((await harness.plane.getJob(first!.id)).restarts.infrastructure).toBe(1);

  const [one, other] = await Promise.all([inline, separate].map((id) => harness.plane.getJob(id)));
  expect(other).toMatchObject({ state: 'succeeded', epoch: 1 });
  for (const [name, value] of Object.entries(one!.latest))
    if (name.startsWith('eval/')) expect(other!.latest[name], name).toBe(value);
  // What was only kept to be evaluated is gone.
  const folder = join(servers.home, 'storage', 'runs', separate);
  await expect.poll(() => readdir(folder), { timeout: PATIENCE_MS }).toEqual(['step-24', 'tensorboard']);
});
