import type { Job, JobEvent, RunSpecInput } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import type { RankKey } from './control-plane.js';
import { createScheduler } from './scheduler.js';
import { settleJobs } from './settle-jobs.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };
const TOP1 = 'eval/zeroshot/top1';
const SEPARATE: Partial<RunSpecInput> = {
  data: { train: { type: 'shapes' }, eval: { type: 'shapes', seed: 1 } },
  evaluate: { everySteps: 20, mode: 'separate', tasks: [{ type: 'zeroshot' }] },
  checkpoint: { everySteps: 10, keepLast: 1, keepBest: 1, bestBy: TOP1 },
  labels: { team: 'vision' },
};
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('a run that is evaluated separately', () => {
  let servers: Servers;
  let harness: Harness;
  let run: RankKey;

  beforeAll(async () => {
    servers = await startServers('postgres');
  });
  afterAll(() => servers.close());
  beforeEach(async () => {
    await servers.database.reset();
    harness = await Harness.open(servers);
  });
  afterEach(() => harness.close());

  /** A run of 60 steps that trains, on a node with so many slots. */
  async function training(slots = 2, changes: Partial<RunSpecInput> = {}): Promise<void> {
    await harness.node('a', slots);
    const { job } = await harness.plane.submitJob(spec({ ...SEPARATE, ...changes }));
    await start(job.id);
    run = { jobId: job.id, epoch: 1, rank: 0 };
    const plan = { totalSteps: 60, startStep: 0, pauseStep: null, parameters: 1, trainSamples: 1, engine: 'cpu' };
    await harness.nodes.recordPlan(run, plan);
  }

  async function start(jobId: string, epoch = 1): Promise<void> {
    expect(await allocateGang(harness.database, jobId)).toHaveLength(1);
    await harness.advance({ jobId, epoch }, 1, 'training');
  }

  const write = (step: number) =>
    harness.nodes.recordCheckpoint(run, {
      step,
      position: step * 64,
      prefix: `runs/${run.jobId}/step-${step}`,
      bytes: 30,
      manifestSha256: `ab${step}`,
      worldSize: 1,
      metrics: { loss: 1 },
      files: [],
    });

  async function evaluations(): Promise<Job[]> {
    const { items } = await harness.plane.listJobs({ limit: 50, label: [`evaluates=${run.jobId}`] });
    const stepOf = ({ spec: { model } }: Job): number => Number(model.init!.split('@')[1]);
    return [...items].sort((a, b) => stepOf(a) - stepOf(b));
  }

  const values = (top1: number) => ({ [TOP1]: top1 });

  /** What the rank of an evaluation does. */
  async function evaluate({ id, spec: { model } }: Job, top1: number, epoch = 1): Promise<void> {
    if (epoch === 1) await start(id);
    const key = { jobId: id, epoch, rank: 0 };
    const step = Number(model.init!.split('@')[1]);
    const results = [{ task: 'zeroshot', type: 'zeroshot', values: { top1 }, details: { samples: 9 } }];
    const samples = [{ png: '', caption: 'c', predictions: [] }];
    await harness.nodes.recordEvaluation(key, { step, final: true, values: values(top1), results, samples });
    await harness.nodes.recordRankEnd(key, { state: 'succeeded' });
  }

  const settle = () => settleJobs(harness.database, silent, { removes: true });
  const metrics = async () =>
    (await harness.plane.listMetrics(run.jobId, { name: [TOP1], limit: 100 })).map(({ step, value }) => [step, value]);
  const steps = async () => (await harness.plane.listCheckpoints(run.jobId)).map(({ step }) => step);

  it('queues a job for each step that is due, once, with the checkpoint', async () => {
    await training();
    for (const step of [10, 20, 30]) await write(step);
    await write(20);
    const [first, ...others] = await evaluations();
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      state: 'queued',
      spec: {
        type: 'evaluate',
        model: { preset: 'clip-tiny', init: `job:${run.jobId}@20` },
        evaluate: { mode: 'inline', tasks: [{ type: 'zeroshot' }] },
        resources: { world: { min: 1, max: 1 } },
      },
    });
    // The last step is due as well, whatever it is.
    for (const step of [50, 60]) await write(step);
    expect((await evaluations()).map(({ spec: { model } }) => model.init)).toEqual(
      [20, 60].map((step) => `job:${run.jobId}@${step}`),
    );
  });

  it('has what they find as its own at that step, in whatever order they end, and once', async () => {
    await training(3);
    for (const step of [20, 40]) await write(step);
    const [first, second] = await evaluations();
    await evaluate(second!, 0.4);
    await settle();
    await evaluate(first!, 0.2);
    await Promise.all([settle(), settle()]);
    await settle();
    expect(await metrics()).toEqual([
      [20, 0.2],
      [40, 0.4],
    ]);
    expect((await harness.plane.getJob(run.jobId)).latest[TOP1]).toBe(0.4);
    const found = await harness.plane.listEvaluations(run.jobId);
    expect(found).toMatchObject([
      { step: 20, final: false, values: values(0.2), results: [{ details: { samples: 9 } }] },
      { step: 40, final: false, values: values(0.4) },
    ]);
    const kept = await harness.plane.listCheckpoints(run.jobId);
    expect(kept.map(({ step, metrics: m }) => [step, m[TOP1]])).toEqual([
      [40, 0.4],
      [20, 0.2],
    ]);
  });

  it('keeps a checkpoint until it is measured, then the best by what was found, and lets the others go', async () => {
    await training(3);
    for (const step of [10, 20, 30, 40, 50]) await write(step);
    expect(await steps()).toEqual([50, 40, 20]);
    const [first, second] = await evaluations();
    await evaluate(first!, 0.9);
    // Not yet handed over: the figures that make it the best are not with it.
    await write(51);
    expect(await steps()).toEqual([51, 40, 20]);
    await settle();
    await evaluate(second!, 0.1);
    await settle();
    expect(await write(60)).toEqual([
      { step: 51, prefix: `runs/${run.jobId}/step-51` },
      { step: 40, prefix: `runs/${run.jobId}/step-40` },
    ]);
    expect(await steps()).toEqual([60, 20]);
  });

  it('has files removed that only an evaluation held when the run had ended', async () => {
    await training(3);
    for (const step of [20, 40, 60]) await write(step);
    await harness.nodes.recordRankEnd(run, { state: 'succeeded' });
    await settle();
    expect(await steps()).toEqual([60, 40, 20]);
    const removed: string[] = [];
    const store = { delete: async (prefix: string) => void removed.push(prefix) };
    const { database, bus } = harness;
    const scheduler = createScheduler({ database, bus, logger: silent, store }, { pollMs: 100, standbyMs: 100 });
    // Nobody takes the launches, so that this test can be the ranks.
    await harness.nodes.drain((await harness.node('a', 3)).lease);
    const events: JobEvent[] = [];
    const told = (async () => {
      for await (const event of harness.plane.events(run.jobId, { signal: AbortSignal.timeout(20_000) }))
        events.push(event);
    })();
    try {
      for (const [i, top1] of [0.1, 0.5, 0.3].entries()) {
        const { lease } = await harness.node('b', 1);
        await evaluate((await evaluations())[i]!, top1);
        await harness.nodes.drain(lease);
      }
      await scheduler.start();
      await expect.poll(steps, WAIT).toEqual([60, 40]);
      await expect.poll(() => removed, WAIT).toEqual([`runs/${run.jobId}/step-20/`]);
      // Whoever follows the run hears of its evaluations, though it has ended before.
      await told;
      expect(events.filter(({ type }) => type === 'evaluation').map(({ data }) => [data.step, data.final])).toEqual([
        [20, false],
        [40, false],
        [60, true],
      ]);
      expect(events.at(-1)!.data.samples).toHaveLength(1);
    } finally {
      await scheduler.close();
    }
  });

  it('tells of one that failed, and goes on', async () => {
    await training();
    await write(20);
    const [evaluation] = await evaluations();
    await start(evaluation!.id);
    const error = { code: 'data_not_found' as const, message: 'no such shard', fields: [] };
    await harness.nodes.recordRankEnd({ jobId: evaluation!.id, epoch: 1, rank: 0 }, { state: 'failed', error });
    await settle();
    await harness.plane.cancelJob(run.jobId);
    await harness.nodes.recordRankEnd(run, { state: 'stopped' });
    const warnings = [];
    for await (const event of harness.plane.events(run.jobId, { signal: AbortSignal.timeout(10_000) }))
      if (event.type === 'warning') warnings.push(event.data.message);
    expect(warnings).toEqual([`The evaluation of step 20, ${evaluation!.id}, failed: no such shard`]);
  });

  it('takes its evaluations with it when it is cancelled, and they hold nothing any more', async () => {
    await training();
    for (const step of [20, 40]) await write(step);
    const [first] = await evaluations();
    await start(first!.id);
    await harness.plane.cancelJob(run.jobId);
    expect((await evaluations()).map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
    for (const jobId of [run.jobId, first!.id])
      await harness.nodes.recordRankEnd({ jobId, epoch: 1, rank: 0 }, { state: 'stopped' });
    await settle();
    expect(await steps()).toEqual([40]);
    expect(await metrics()).toEqual([]);
  });

  it('leaves them waiting without a free slot, starts again before them, and frees its own for them at its end', async () => {
    await training(1);
    await harness.scheduler();
    await write(20);
    await harness.nodes.recordRankEnd(run, { state: 'lost', error: { code: 'rank_lost', message: 'x', fields: [] } });
    // Slots are free while the run waits to begin anew, but not for its evaluation.
    await expect.poll(async () => (await harness.plane.getJob(run.jobId)).epoch, WAIT).toBe(2);
    const stateOf = async () => (await evaluations())[0]!.state;
    expect(await stateOf()).toBe('queued');
    await harness.advance({ jobId: run.jobId, epoch: 2 }, 1, 'training');
    await harness.nodes.recordRankEnd({ ...run, epoch: 2 }, { state: 'succeeded' });
    await expect.poll(stateOf, WAIT).toBe('starting');
  });
});
