import { parseSweepSpec, type Sweep, type SweepSpec, type SweepSpecInput, type Trial } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RankEnd } from '../control-plane.js';
import { Harness, type Servers, startServers } from '../test-harness.js';
import { type Course, SimulatedRanks } from './test-simulated-ranks.js';

// A machine that is busy with other things takes several times as long.
const WAIT = { timeout: 90_000, interval: 20 };
/** The loss falls with the steps towards a floor that is lowest for a learning rate of 1e-3. */
const loss: Course = ({ optimizer }, step) => ({
  loss: Math.abs(Math.log10(optimizer.lr / 1e-3)) + 10 / step,
  'speed/samples_per_second': 200,
});
const NOT_FINITE: RankEnd = { state: 'failed', error: { code: 'loss_not_finite', message: 'NaN', fields: [] } };

function sweepSpec(changes: Partial<SweepSpecInput> = {}): SweepSpec {
  return parseSweepSpec({
    version: 1,
    name: 'search',
    base: {
      version: 1,
      model: { preset: 'clip-tiny' },
      data: { train: { type: 'shapes' } },
      batch: { global: 64 },
      duration: { steps: 90 },
      labels: { team: 'vision' },
    },
    parameters: { 'optimizer.lr': { type: 'choice', values: [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6] } },
    search: { type: 'grid' },
    halving: { first: { steps: 10 }, eta: 3 },
    objective: { metric: 'loss', goal: 'min' },
    maxConcurrent: 2,
    ...changes,
  });
}

describe('a sweep', { timeout: 120_000 }, () => {
  let servers: Servers;
  let harness: Harness;
  let ranks: SimulatedRanks;

  beforeAll(async () => {
    servers = await startServers('postgres');
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    await servers.database.reset();
    harness = await Harness.open(servers);
  });
  afterEach(async () => {
    await ranks?.close();
    await harness.close();
  });

  async function begin(changes: Partial<SweepSpecInput> = {}, course = loss): Promise<string> {
    ranks = new SimulatedRanks(harness, await harness.node('a', 4), course);
    await harness.scheduler();
    return (await harness.plane.sweeps.submit(sweepSpec(changes))).sweep.id;
  }

  async function reach(id: string, state: Sweep['state']): Promise<{ sweep: Sweep; trials: readonly Trial[] }> {
    await expect.poll(async () => (await harness.plane.sweeps.get(id)).state, WAIT).toBe(state);
    return { sweep: await harness.plane.sweeps.get(id), trials: await harness.plane.sweeps.trials(id) };
  }

  const statesOf = (trials: readonly Trial[]) => trials.map(({ state }) => state);

  it('halves: each rung promotes its best, which go on from their checkpoints, and the best gets the whole budget', async () => {
    const id = await begin();
    const { sweep, trials } = await reach(id, 'succeeded');
    expect(sweep.rungs).toEqual([{ steps: 10 }, { steps: 30 }, { steps: 90 }]);
    expect(sweep.best).toMatchObject({ index: 2, values: { 'optimizer.lr': 1e-3 } });
    expect(trials[2]).toMatchObject({ state: 'succeeded', jobState: 'succeeded', step: 90, totalSteps: 90 });
    expect(trials[2]!.results.map(({ rung, step }) => [rung, step])).toEqual([
      [0, 10],
      [1, 30],
      [2, 90],
    ]);
    expect(trials.every(({ results }) => results.length > 0)).toBe(true);
    for (const trial of trials.filter(({ index }) => index !== 2))
      expect(trial).toMatchObject({ state: 'stopped', jobState: 'cancelled' });
    // Two thirds of a full grid are saved at least, and no step is taken twice.
    expect(ranks.steps).toBe(trials.reduce((total, { step }) => total + step, 0));
    expect(ranks.steps).toBeLessThan(6 * 30);
    const attempts = await harness.plane.listAttempts(trials[2]!.jobId!);
    expect(attempts.map(({ startStep }) => startStep)).toEqual([30, 10, 0]);
    const job = await harness.plane.getJob(trials[2]!.jobId!);
    expect(job).toMatchObject({ name: 'search-2', labels: { team: 'vision', sweep: id, trial: '2' } });
    expect((await harness.plane.listNodes())[0]!.slots.every(({ jobId }) => jobId === null)).toBe(true);
  });

  it('runs every trial to its end without halving, so many at a time, and a rerun is the same', async () => {
    const search = { type: 'random' as const, trials: 5 };
    const parameters = { 'optimizer.lr': { type: 'logUniform' as const, min: 1e-5, max: 1e-1 } };
    let most = 0;
    const first = await begin({ search, parameters, halving: null });
    const running = async () => (await harness.plane.sweeps.get(first)).trials.running ?? 0;
    while ((await harness.plane.sweeps.get(first)).state === 'running') most = Math.max(most, await running());
    expect(most).toBe(2);
    const second = (await harness.plane.sweeps.submit(sweepSpec({ search, parameters, halving: null }))).sweep.id;
    const [one, two] = [await reach(first, 'succeeded'), await reach(second, 'succeeded')];
    expect(statesOf(one.trials)).toEqual(Array(5).fill('succeeded'));
    expect(one.trials.map(({ values, objective }) => [values, objective])).toEqual(
      two.trials.map(({ values, objective }) => [values, objective]),
    );
    expect(one.sweep.best!.objective).toBe(Math.min(...one.trials.map(({ objective }) => objective!)));
  });

  it('goes on without those that fail or break a constraint, which are never the best', async () => {
    const course: Course = (spec, step) => {
      if (spec.optimizer.lr === 1e-1) return NOT_FINITE;
      const { loss: value } = loss(spec, step) as { loss: number };
      // The best one is too slow, though not in its last report.
      const slow = spec.optimizer.lr === 1e-3 && step % 30 !== 0;
      return { loss: value, 'speed/samples_per_second': slow ? 50 : 200 };
    };
    const constraints = ['speed/samples_per_second >= 100', 'loss < 100'];
    const id = await begin({ constraints, halving: { first: { steps: 30 }, eta: 3 } }, course);
    const { sweep, trials } = await reach(id, 'succeeded');
    expect(trials[0]).toMatchObject({ state: 'failed', reason: expect.stringContaining('NaN'), results: [] });
    expect(trials[2]).toMatchObject({
      state: 'infeasible',
      jobState: 'cancelled',
      reason: 'broke `speed/samples_per_second >= 100`: 50',
      results: [{ rung: 0, step: 30, metrics: { 'speed/samples_per_second': 50 } }],
    });
    expect(sweep.best!.index === 1 || sweep.best!.index === 3).toBe(true);
    expect(sweep.trials.succeeded).toBeGreaterThan(0);
  });

  it('fails when no trial comes to a result, or none reports the metric', async () => {
    let course: Course = () => NOT_FINITE;
    const id = await begin({}, (...at) => course(...at));
    const { sweep, trials } = await reach(id, 'failed');
    expect([sweep.reason, sweep.best]).toEqual(['no trial came to a result', null]);
    expect(statesOf(trials)).toEqual(Array(6).fill('failed'));
    const objective = { metric: 'eval/mine/top1', goal: 'max' as const };
    const base = {
      ...sweepSpec().base,
      data: { train: { type: 'shapes' }, eval: { type: 'shapes' } },
      evaluate: { tasks: [{ type: 'retrieval' }] },
    };
    course = loss;
    const unmeasured = (await harness.plane.sweeps.submit(sweepSpec({ objective, base }))).sweep.id;
    expect((await reach(unmeasured, 'failed')).trials[0]!.reason).toBe('its job reported no eval/mine/top1');
  });

  it('pauses with its jobs, starts nothing meanwhile, and goes on from their checkpoints', async () => {
    const id = await begin();
    await expect.poll(() => ranks.steps, WAIT).toBeGreaterThan(20);
    ranks.held = true;
    expect(await harness.plane.sweeps.pause(id)).toMatchObject({ state: 'paused', reason: 'paused by request' });
    await expect(harness.plane.sweeps.pause(id)).rejects.toMatchObject({ code: 'sweep_state_conflict' });
    const open = async () => (await harness.plane.sweeps.trials(id)).map(({ jobState }) => jobState);
    const still = (states: (string | null)[]) => states.every((state) => state === null || state === 'paused');
    await expect.poll(async () => still(await open()), WAIT).toBe(true);
    const { steps } = ranks;
    ranks.held = false;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect([still(await open()), ranks.steps]).toEqual([true, steps]);
    await harness.plane.sweeps.resume(id);
    const { sweep, trials } = await reach(id, 'succeeded');
    expect(sweep.best!.index).toBe(2);
    expect(ranks.steps).toBe(trials.reduce((total, { step }) => total + step, 0));
  });

  it('is cancelled with its jobs', async () => {
    const id = await begin();
    await expect.poll(() => ranks.steps, WAIT).toBeGreaterThan(20);
    expect((await harness.plane.sweeps.cancel(id)).state).toBe('cancelled');
    const open = async () =>
      (await harness.plane.sweeps.trials(id)).filter(({ state }) => state !== 'cancelled').length;
    await expect.poll(open, WAIT).toBe(0);
    const states = (await harness.plane.listJobs({ limit: 100 })).items.map(({ state }) => state);
    expect(states.every((state) => state === 'cancelled' || state === 'succeeded')).toBe(true);
    await expect(harness.plane.sweeps.resume(id)).rejects.toMatchObject({
      code: 'sweep_state_conflict',
      fields: [{ path: 'state', value: 'cancelled' }],
    });
  });

  it('takes what is done to its jobs by hand', async () => {
    const id = await begin({ maxConcurrent: 1 });
    const trial = async (index: number) => (await harness.plane.sweeps.trials(id))[index]!;
    await expect.poll(async () => (await trial(1)).state, WAIT).toBe('resting');
    ranks.held = true;
    // The second rests; asked for by hand it goes on to the end of its budget.
    const jobs = [(await trial(0)).jobId!, (await trial(1)).jobId!];
    await harness.plane.resumeJob(jobs[1]!);
    await harness.plane.cancelJob(jobs[0]!);
    ranks.held = false;
    const { sweep, trials } = await reach(id, 'succeeded');
    expect(trials[0]).toMatchObject({ state: 'cancelled', reason: 'its job was cancelled' });
    expect(trials[1]).toMatchObject({ state: 'succeeded', step: 90 });
    expect(sweep.best).not.toBeNull();
  });

  it('is stored once for one key, listed newest first, and unknown ones are named', async () => {
    const submit = (name: string) => harness.plane.sweeps.submit(sweepSpec({ name }), { idempotencyKey: 'k' });
    const first = await submit('a');
    expect(await submit('a')).toMatchObject({ created: false, sweep: { id: first.sweep.id } });
    await expect(submit('b')).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    const other = await harness.plane.sweeps.submit(sweepSpec({ name: 'b' }));
    const page = await harness.plane.sweeps.list({ limit: 1 });
    expect(page.items.map(({ id }) => id)).toEqual([other.sweep.id]);
    const rest = await harness.plane.sweeps.list({ limit: 5, cursor: page.nextCursor!, state: 'running' });
    expect(rest.items.map(({ id }) => id)).toEqual([first.sweep.id]);
    expect(rest.items[0]!.trials).toEqual({ waiting: 6 });
    const unknown = { code: 'sweep_not_found', fields: [{ value: 'sweep-none' }] };
    await expect(harness.plane.sweeps.get('sweep-none')).rejects.toMatchObject(unknown);
    await expect(harness.plane.sweeps.cancel('sweep-none')).rejects.toMatchObject(unknown);
  });

  it('leaves nothing behind when one of its trials is not valid', async () => {
    const parameters = { 'optimizer.lr': { type: 'choice' as const, values: [1e-3, -1] } };
    await expect(harness.plane.sweeps.submit(sweepSpec({ parameters }))).rejects.toMatchObject({
      code: 'spec_invalid',
    });
    await harness.node('a', 1);
    const world = { 'resources.world': { type: 'choice' as const, values: [{ min: 2, max: 2 }] } };
    await expect(harness.plane.sweeps.submit(sweepSpec({ parameters: world }))).rejects.toMatchObject({
      code: 'world_unsatisfiable',
    });
    const init = { 'model.init': { type: 'choice' as const, values: ['job:job-none'] } };
    await expect(harness.plane.sweeps.submit(sweepSpec({ parameters: init }))).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ path: 'parameters.model.init' }],
    });
    expect((await harness.plane.sweeps.list({ limit: 5 })).items).toEqual([]);
    expect((await harness.plane.listJobs({ limit: 5 })).items).toEqual([]);
  });

  it('goes on with another control plane when one ends in the middle', async () => {
    const other = await Harness.open(servers);
    const scheduler = await other.scheduler();
    ranks = new SimulatedRanks(harness, await harness.node('a', 4), loss);
    const id = (await other.plane.sweeps.submit(sweepSpec())).sweep.id;
    await expect.poll(() => ranks.steps, WAIT).toBeGreaterThan(20);
    await scheduler.close();
    await other.close();
    await harness.scheduler();
    const { sweep, trials } = await reach(id, 'succeeded');
    expect(sweep.best!.index).toBe(2);
    expect(ranks.steps).toBe(trials.reduce((total, { step }) => total + step, 0));
  });
});
