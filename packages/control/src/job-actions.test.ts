import { type ErrorCode, JOB_STATES, type Job, type JobState } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RankEnd } from './control-plane.js';
import { Harness, type Servers, spec, startServers, type TestNode } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };
const STOPPED: RankEnd = { state: 'stopped' };
const LOST: RankEnd = { state: 'lost', error: { code: 'rank_lost', message: 'killed by SIGKILL', fields: [] } };
const RECORD = { position: 1, bytes: 1, manifestSha256: 'ab', worldSize: 2, metrics: {}, files: [] };

let servers: Servers;
let harness: Harness;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers?.close());
beforeEach(async () => {
  await servers.database.reset();
  harness = await Harness.open(servers);
});
afterEach(() => harness.close());

async function reach(id: string, state: Job['state'], epoch: number): Promise<Job> {
  const seen = async () => {
    const job = await harness.plane.getJob(id);
    return [job.state, job.epoch];
  };
  await expect.poll(seen, WAIT).toEqual([state, epoch]);
  return await harness.plane.getJob(id);
}

async function submitted(input: Parameters<typeof spec>[0] = {}): Promise<string> {
  return (await harness.plane.submitJob(spec(input))).job.id;
}

async function started(input: Parameters<typeof spec>[0] = {}): Promise<string> {
  const id = await submitted({ min: 2, ...input });
  await reach(id, 'starting', 1);
  await harness.advance({ jobId: id, epoch: 1 }, 2, 'training');
  return id;
}

const end = (jobId: string, epoch: number, how: RankEnd) =>
  Promise.all([0, 1].map((rank) => harness.nodes.recordRankEnd({ jobId, epoch, rank }, how)));

const checkpoint = (jobId: string, epoch: number, step: number) =>
  harness.nodes.recordCheckpoint({ jobId, epoch, rank: 0 }, { ...RECORD, step, prefix: `runs/${jobId}/step-${step}` });

/** Without a scheduler: puts it there, whatever way leads there. */
async function put(jobId: string, state: JobState): Promise<void> {
  await harness.database.transaction((tx) => tx.jobs.update(jobId, { state }));
}

/** A job as retention leaves it, with a checkpoint of step 7. */
async function withCheckpoint(): Promise<string> {
  const id = await submitted();
  await harness.database.transaction((tx) =>
    tx.checkpoints.record(`ckpt-${id}`, id, 1, { ...RECORD, step: 7, prefix: `runs/${id}/step-7` }),
  );
  return id;
}

describe('in every state', () => {
  const outcome = async (work: Promise<unknown>): Promise<'ok' | ErrorCode> =>
    await work.then(
      () => 'ok' as const,
      (error) => error.code,
    );
  const conflict = 'job_state_conflict';

  it.each(JOB_STATES)('%s: a job may be edited, retried, forked and deleted, or is refused', async (state) => {
    const ended = state === 'succeeded' || state === 'failed' || state === 'cancelled';
    const id = await withCheckpoint();
    await put(id, state);
    expect(await outcome(harness.plane.editJob(id, { name: 'other', labels: { a: '1' } }))).toBe('ok');
    expect(await outcome(harness.plane.editJob(id, { priority: 1 }))).toBe(ended ? conflict : 'ok');
    const fork = await harness.plane.forkJob(id, { resume: false, set: {} });
    expect(fork.job).toMatchObject({ state: 'queued', name: 'other-fork', labels: { a: '1' } });
    // The fork needs its checkpoint.
    expect(await outcome(harness.plane.deleteJob(id))).toBe(conflict);
    await harness.plane.cancelJob(fork.job.id);
    await harness.database.transaction((tx) => tx.jobs.update(fork.job.id, { settled: true }));
    const error = await harness.plane.retryJob(id).catch((e) => e);
    if (state === 'failed' || state === 'cancelled') expect(error).toMatchObject({ state: 'queued', error: null });
    else expect(error).toMatchObject({ code: conflict, fields: [{ value: state, remedy: expect.any(String) }] });
    await put(id, state);
    expect(await outcome(harness.plane.deleteJob(id))).toBe(ended ? 'ok' : conflict);
    expect(await outcome(harness.plane.getJob(id))).toBe(ended ? 'job_not_found' : 'ok');
  });
});

describe('editing', () => {
  it('merges labels, and tells who watches', async () => {
    const id = await submitted({ labels: { a: '1', b: '2' } });
    const edited = await harness.plane.editJob(id, { labels: { a: null, c: '3' }, priority: 90 });
    expect(edited).toMatchObject({ labels: { b: '2', c: '3' }, priority: 90, spec: { labels: { a: '1', b: '2' } } });
    const events = await harness.database.read((db) => db.events.newest(id, 'job.edited', 5));
    expect(events.map(({ data }) => data)).toEqual([{ priority: 90, labels: { a: null, c: '3' } }]);
    await harness.plane.editJob(id, { priority: 90 });
    expect(await harness.database.read((db) => db.events.newest(id, 'job.edited', 5))).toHaveLength(1);
    const labels = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x${i}`, '']));
    await expect(harness.plane.editJob(id, { labels })).rejects.toMatchObject({ code: 'request_invalid' });
  });

  it('moves a job in the queue, and what waits says why', async () => {
    const [first, second] = [await submitted({ min: 4 }), await submitted({ min: 2 })];
    const queue = async () => (await harness.plane.listQueue({ limit: 10 })).items;
    expect((await queue()).map(({ jobId, position }) => [jobId, position])).toEqual([
      [first, 1],
      [second, 2],
    ]);
    expect((await queue())[0]!.why).toContain('pool `default` has none that are ready');
    await harness.plane.editJob(second, { priority: 60 });
    expect((await queue()).map(({ jobId }) => jobId)).toEqual([second, first]);
    await harness.node('a', 4);
    const third = await submitted({ min: 4, resources: { world: { min: 1, max: 1 }, pool: 'gpu' } });
    await harness.scheduler();
    await reach(second, 'starting', 1);
    expect(await queue()).toMatchObject([
      { jobId: first, position: 1, freeSlots: 2, why: 'needs 4 slots in pool `default`, 2 free', world: { min: 4 } },
      { jobId: third, position: 1, pool: 'gpu' },
    ]);
    expect((await harness.plane.listQueue({ pool: 'gpu', limit: 10 })).items).toMatchObject([{ jobId: third }]);
    const page = await harness.plane.listQueue({ limit: 1 });
    const next = await harness.plane.listQueue({ limit: 1, cursor: page.nextCursor! });
    expect([page.items[0]!.jobId, next.items[0]!.jobId, next.nextCursor]).toEqual([first, third, null]);
  });
});

describe('retrying', () => {
  it('goes on from the newest checkpoint with fresh budgets, also at once after a failure that delays', async () => {
    const node = await harness.node('a', 2);
    await harness.scheduler();
    const id = await started({ restarts: { infrastructure: 1 } });
    await checkpoint(id, 1, 7);
    await end(id, 1, LOST);
    await reach(id, 'starting', 2);
    await end(id, 2, LOST);
    expect((await reach(id, 'failed', 2)).restarts.infrastructure).toBe(1);
    const retried = await harness.plane.retryJob(id);
    expect(retried).toMatchObject({ restarts: { infrastructure: 0 }, error: null, finishedAt: null });
    await reach(id, 'starting', 3);
    const [assignment] = await harness.nodes.assignments(node.lease, { jobId: id, epoch: 3 });
    expect(assignment!.checkpoints).toMatchObject([{ step: 7 }]);
    await end(id, 3, LOST);
    await reach(id, 'starting', 4);
    // A second time, after it was cancelled: once its ranks have stopped.
    await harness.advance({ jobId: id, epoch: 4 }, 2, 'training');
    await harness.plane.cancelJob(id);
    const early = { code: 'job_state_conflict', fields: [{ message: 'its ranks still stop' }] };
    await expect(harness.plane.retryJob(id)).rejects.toMatchObject(early);
    await end(id, 4, STOPPED);
    await harness.plane.retryJob(id);
    await reach(id, 'starting', 5);
  });

  it('is refused when the weights that it needs are gone', async () => {
    const source = await withCheckpoint();
    const { job } = await harness.plane.submitJob(spec({ model: { preset: 'clip-tiny', init: `job:${source}` } }));
    await harness.plane.cancelJob(job.id);
    await harness.database.transaction((tx) => tx.checkpoints.remove([`ckpt-${source}`]));
    await expect(harness.plane.retryJob(job.id)).rejects.toMatchObject({
      code: 'job_state_conflict',
      fields: [{ path: 'model.init' }],
    });
  });
});

describe('forking', () => {
  it('sets fields, pins the checkpoint, and takes the optimizer state along when asked', async () => {
    const node = await harness.node('a', 2);
    const source = await withCheckpoint();
    await harness.plane.cancelJob(source);
    const set = { 'optimizer.lr': 1e-4, 'duration.steps': 200, name: 'longer', 'resources.world': { min: 2, max: 2 } };
    const { job } = await harness.plane.forkJob(source, { step: 7, resume: true, set });
    expect(job).toMatchObject({
      name: 'longer',
      spec: { optimizer: { lr: 1e-4 }, duration: { steps: 200 }, model: { init: `job:${source}@7` } },
    });
    const { job: weights } = await harness.plane.forkJob(source, { resume: false, set: {} });
    await harness.scheduler();
    await reach(job.id, 'starting', 1);
    const checkpoints = async (id: string) =>
      (await harness.nodes.assignments(node.lease, { jobId: id, epoch: 1 })).map((given) => given.checkpoints);
    expect(await checkpoints(job.id)).toMatchObject([[{ step: 7 }], [{ step: 7 }]]);
    await harness.plane.cancelJob(job.id);
    await end(job.id, 1, STOPPED).catch(() => {});
    await reach(weights.id, 'starting', 1);
    expect(await checkpoints(weights.id)).toEqual([[]]);
  });

  it('names what is wrong, and is done once for one key', async () => {
    const source = await withCheckpoint();
    const refused = (fork: object) =>
      harness.plane.forkJob(source, { resume: false, set: {}, ...fork }).catch((e) => e);
    expect(await refused({ step: 8 })).toMatchObject({ fields: [{ path: 'step', remedy: 'It has: 7.' }] });
    expect(await refused({ checkpoint: 'ckpt-none' })).toMatchObject({ fields: [{ path: 'checkpoint' }] });
    expect(await refused({ set: { 'seed.x': 1 } })).toMatchObject({ fields: [{ path: 'set.seed.x' }] });
    expect(await refused({ set: { 'model.init': 'file:x' } })).toMatchObject({ fields: [{ path: 'set.model.init' }] });
    expect(await refused({ set: { 'optimizer.lrr': 1 } })).toMatchObject({ code: 'spec_invalid' });
    const bare = await submitted();
    await expect(harness.plane.forkJob(bare, { resume: false, set: {} })).rejects.toMatchObject({
      code: 'job_state_conflict',
    });
    const options = { idempotencyKey: 'once' };
    const first = await harness.plane.forkJob(source, { resume: false, set: {} }, options);
    const again = await harness.plane.forkJob(source, { resume: false, set: {} }, options);
    expect([again.job.id, again.created]).toEqual([first.job.id, false]);
    await expect(harness.plane.forkJob(source, { resume: true, set: {} }, options)).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    });
  });
});

describe('deleting', () => {
  it('removes the files too, frees the idempotency key, and lets retention look at what the job held', async () => {
    const source = await withCheckpoint();
    const { job } = await harness.plane.submitJob(spec({ model: { preset: 'clip-tiny', init: `job:${source}` } }), {
      idempotencyKey: 'k',
    });
    await harness.plane.cancelJob(job.id);
    await harness.plane.cancelJob(source);
    await harness.database.transaction((tx) => tx.jobs.update(source, { settled: true }));
    await harness.plane.deleteJob(job.id);
    const settled = await harness.database.read(async (db) => (await db.jobs.find(source))!.settled);
    expect(settled).toBe(false);
    const sent = await harness.database.transaction((tx) => tx.outbox.lockUnsent(100));
    expect(sent.map(({ payload }) => payload)).toContainEqual({
      type: 'checkpoints.dropped',
      id: job.id,
      prefixes: [`runs/${job.id}`],
    });
    const anew = await harness.plane.submitJob(spec(), { idempotencyKey: 'k' });
    expect(anew.created).toBe(true);
  });

  it('is refused while ranks stop', async () => {
    await harness.node('a', 2);
    await harness.scheduler();
    const id = await started();
    await harness.plane.cancelJob(id);
    await expect(harness.plane.deleteJob(id)).rejects.toMatchObject({ fields: [{ message: 'its ranks still stop' }] });
    await end(id, 1, STOPPED);
    await harness.plane.deleteJob(id);
    expect((await harness.plane.listNodes())[0]!.slots).toMatchObject([{ jobId: null }, { jobId: null }]);
  });
});

describe('a drained node', () => {
  const stops = (node: TestNode) => node.messages.filter(({ type }) => type === 'stop');

  it('gets no ranks, lets those that run go on, and stays drained when its worker starts anew', async () => {
    await harness.node('a', 2);
    await harness.scheduler();
    const id = await started();
    expect(await harness.plane.drainNode('a', { evict: false })).toMatchObject({ state: 'draining', drained: true });
    const next = await submitted();
    await end(id, 1, { state: 'succeeded' });
    await reach(id, 'succeeded', 1);
    await harness.node('a', 2);
    const waiting = async () => (await harness.plane.listQueue({ limit: 5 })).items[0]?.why;
    await expect.poll(waiting, WAIT).toContain('has none that are ready');
    expect(await harness.plane.getNode('a')).toMatchObject({ state: 'draining' });
    expect(await harness.plane.undrainNode('a')).toMatchObject({ state: 'ready', drained: false });
    await reach(next, 'starting', 1);
    await expect(harness.plane.drainNode('b', { evict: false })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('evicts: its jobs stop with a checkpoint, for no restart, and go on elsewhere', async () => {
    const a = await harness.node('a', 2);
    await harness.scheduler();
    const id = await started();
    const b = await harness.node('b', 2);
    await harness.plane.drainNode(a.nodeId, { evict: true });
    await expect.poll(() => stops(a), WAIT).toMatchObject([{ jobId: id, epoch: 1, save: true }]);
    expect(await harness.plane.getJob(id)).toMatchObject({ state: 'running', reason: 'node a is drained' });
    // A worker that missed the message hears of it when it compares.
    expect(await harness.nodes.expectedAttempts(a.lease)).toEqual([{ jobId: id, epoch: 1, to: 'save' }]);
    await checkpoint(id, 1, 9);
    await end(id, 1, STOPPED);
    expect((await reach(id, 'starting', 2)).restarts).toEqual({ infrastructure: 0, user: 0 });
    const [assignment] = await harness.nodes.assignments(b.lease, { jobId: id, epoch: 2 });
    expect(assignment!.checkpoints).toMatchObject([{ step: 9 }]);
    expect(stops(b)).toEqual([]);
  });

  it('an evicted job that is paused or cancelled meanwhile is so when its ranks have stopped', async () => {
    await harness.node('a', 4);
    await harness.scheduler();
    const [paused, cancelled] = [await started(), await started()];
    await harness.plane.drainNode('a', { evict: true });
    await harness.plane.pauseJob(paused);
    await harness.plane.cancelJob(cancelled);
    await end(paused, 1, STOPPED);
    await end(cancelled, 1, STOPPED);
    await reach(paused, 'paused', 1);
    await reach(cancelled, 'cancelled', 1);
  });
});
