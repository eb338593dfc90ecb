import type { ErrorCode, Job } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RankEnd } from './control-plane.js';
import { BACKENDS } from './test-backends.js';
import { Harness, type Servers, spec, startServers, type TestNode } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };
const failed = (code: ErrorCode): RankEnd => ({
  state: 'failed',
  error: { code, message: `it was ${code}`, fields: [], stack: 'at secret place' },
});
const lost: RankEnd = { state: 'lost', error: { code: 'rank_lost', message: 'killed by SIGKILL', fields: [] } };

describe.each(BACKENDS)('recovery, $name', ({ kind, skip }) => {
  let servers: Servers;
  let harness: Harness;
  let node: TestNode;

  beforeAll(async () => {
    if (!skip) servers = await startServers(kind);
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    if (skip) return;
    await servers.database.reset();
    harness = await Harness.open(servers);
    node = await harness.node('a', 2);
    await harness.scheduler();
  });
  afterEach(async () => {
    if (!skip) await harness.close();
  });

  async function started(
    input: Parameters<typeof spec>[0] = {},
    to: 'assigned' | 'launching' | 'training' = 'training',
  ): Promise<string> {
    const { job } = await harness.plane.submitJob(spec({ min: 2, ...input }));
    await reach(job.id, 'starting', 1);
    if (to !== 'assigned') await harness.advance({ jobId: job.id, epoch: 1 }, 2, to);
    return job.id;
  }

  async function reach(id: string, state: Job['state'], epoch?: number): Promise<Job> {
    await expect
      .poll(async () => {
        const job = await harness.plane.getJob(id);
        return epoch === undefined ? job.state : [job.state, job.epoch];
      }, WAIT)
      .toEqual(epoch === undefined ? state : [state, epoch]);
    return await harness.plane.getJob(id);
  }

  const end = (jobId: string, epoch: number, rank: number, how: RankEnd) =>
    harness.nodes.recordRankEnd({ jobId, epoch, rank }, how);
  const stopsOf = (id: string) => () => node.messages.filter(({ type, jobId }) => type === 'stop' && jobId === id);

  it.skipIf(skip)(
    'stops the other ranks when one is lost, then starts the next epoch from the newest checkpoint',
    async () => {
      const id = await started();
      expect((await reach(id, 'running')).startedAt).not.toBeNull();
      const record = { position: 640, bytes: 10, manifestSha256: 'ab', worldSize: 2, metrics: {}, files: [] };
      await harness.nodes.recordCheckpoint(
        { jobId: id, epoch: 1, rank: 0 },
        { ...record, step: 10, prefix: `runs/${id}/step-10` },
      );
      await end(id, 1, 1, lost);
      await expect.poll(stopsOf(id), WAIT).toMatchObject([{ jobId: id, epoch: 1 }]);
      expect(await harness.nodes.assignments(node.lease, { jobId: id, epoch: 1 })).toEqual([]);
      expect((await harness.plane.listAttempts(id))[0]!.state).toBe('stopping');
      await end(id, 1, 0, failed('link_closed'));
      await reach(id, 'starting', 2);
      const [second, first] = await harness.plane.listAttempts(id);
      expect(first).toMatchObject({ state: 'failed', error: { code: 'rank_lost' } });
      expect(second).toMatchObject({ epoch: 2, state: 'starting', worldSize: 2 });
      const [assignment] = await harness.nodes.assignments(node.lease, { jobId: id, epoch: 2 });
      expect(assignment!.checkpoints).toEqual([{ step: 10, prefix: `runs/${id}/step-10`, manifestSha256: 'ab' }]);
      expect((await harness.plane.getJob(id)).restarts).toEqual({ infrastructure: 1, user: 0 });
    },
  );

  it.skipIf(skip)('fails the job with the error when the budget is spent', async () => {
    const id = await started({ restarts: { infrastructure: 1, user: 0 } });
    for (const epoch of [1, 2]) {
      await reach(id, epoch === 1 ? 'running' : 'starting', epoch);
      await end(id, epoch, 0, lost);
      await end(id, epoch, 1, { state: 'stopped' });
    }
    const job = await reach(id, 'failed', 2);
    expect(job).toMatchObject({ error: { code: 'rank_lost' }, restarts: { infrastructure: 1, user: 0 } });
    expect(job.finishedAt).not.toBeNull();
    expect(job.reason).toContain('after 1 restarts');
  });

  it.skipIf(skip)('does not try a fault of the user again beyond the budget for those', async () => {
    const id = await started();
    await end(id, 1, 0, failed('loss_not_finite'));
    await end(id, 1, 1, failed('link_closed'));
    expect(await reach(id, 'failed', 1)).toMatchObject({ error: { code: 'loss_not_finite' } });
    const tolerant = await started({ restarts: { infrastructure: 0, user: 1 } });
    for (const rank of [0, 1]) await end(tolerant, 1, rank, failed('loss_not_finite'));
    expect((await reach(tolerant, 'starting', 2)).restarts).toEqual({ infrastructure: 0, user: 1 });
  });

  it.skipIf(skip)('waits longer after each failure, and shortly again when a newer checkpoint has come', async () => {
    const id = await started();
    const waits: number[] = [];
    for (const epoch of [1, 2, 3]) {
      if (epoch > 1) await harness.advance({ jobId: id, epoch }, 2, 'training');
      if (epoch === 3) {
        const record = { position: 1, bytes: 1, manifestSha256: 'ab', worldSize: 2, metrics: {}, files: [] };
        await harness.nodes.recordCheckpoint({ jobId: id, epoch, rank: 0 }, { ...record, step: 5, prefix: 'p' });
      }
      for (const rank of [0, 1]) await end(id, epoch, rank, lost);
      const from = performance.now();
      await reach(id, 'starting', epoch + 1);
      waits.push(performance.now() - from);
    }
    expect(waits[0]).toBeGreaterThan(400);
    expect(waits[1]).toBeGreaterThan(900);
    expect(waits[2]).toBeGreaterThan(400);
    // Without the checkpoint it would have been two seconds.
    expect(waits[2]).toBeLessThan(1900);
  });

  it.skipIf(skip)('counts no restart when ranks were stopped without a fault', async () => {
    const id = await started();
    for (const rank of [0, 1]) await end(id, 1, rank, { state: 'stopped' });
    const job = await reach(id, 'starting', 2);
    expect(job.restarts).toEqual({ infrastructure: 0, user: 0 });
    expect((await harness.plane.listAttempts(id))[1]).toMatchObject({ state: 'stopped', error: null });
  });

  it.skipIf(skip)('gives up a node whose lease ran out: ranks lost, attempt failed, next epoch elsewhere', async () => {
    const dying = await harness.node('dying', 2, 'short');
    const { job } = await harness.plane.submitJob(spec({ resources: { world: { min: 2, max: 2 }, pool: 'short' } }));
    await reach(job.id, 'starting', 1);
    const leave = (leaseMs: number) => harness.database.transaction((tx) => tx.nodes.renewLease(dying.nodeId, leaseMs));
    await leave(1500);
    await harness.nodes.renewLease(dying.lease);
    await new Promise((resolve) => setTimeout(resolve, 1800));
    expect(await harness.plane.getJob(job.id)).toMatchObject({ state: 'starting', epoch: 1 });
    await leave(0);
    await reach(job.id, 'recovering', 1);
    const [attempt] = await harness.plane.listAttempts(job.id);
    expect(attempt).toMatchObject({ state: 'failed', error: { code: 'node_lost' } });
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['lost', 'lost']);
    const seen = (await harness.plane.listNodes()).find(({ id }) => id === dying.nodeId)!;
    expect(seen.state).toBe('lost');
    expect(seen.slots.every(({ jobId }) => jobId === null)).toBe(true);
    await expect(harness.nodes.renewLease(dying.lease)).rejects.toMatchObject({ code: 'node_lost' });
    await harness.node('fresh', 2, 'short');
    await reach(job.id, 'starting', 2);
    const back = await harness.node('dying', 2, 'short');
    await harness.nodes.renewLease(back.lease);
  });

  it.skipIf(skip)('ends the ranks of an earlier life when a node registers again, under the same id', async () => {
    const id = await started();
    const again = await harness.node('a', 2);
    expect(again.nodeId).toBe(node.nodeId);
    await reach(id, 'starting', 2);
    expect((await harness.plane.listAttempts(id))[1]!.error).toMatchObject({ code: 'rank_lost' });
  });

  it.skipIf(skip)('takes a node from a worker when another registers under its name', async () => {
    const id = await started();
    const again = await harness.node('a', 2);
    const replaced = { code: 'node_replaced', fields: [{ path: 'CLIPYARD_NODE_NAME' }] };
    await expect(harness.nodes.renewLease(node.lease)).rejects.toMatchObject(replaced);
    await expect(harness.nodes.assignments(node.lease, { jobId: id, epoch: 2 })).rejects.toMatchObject(replaced);
    await harness.nodes.drain(node.lease);
    await harness.nodes.deregister(node.lease);
    await harness.nodes.renewLease(again.lease);
    const seen = (await harness.plane.listNodes()).find(({ id: nodeId }) => nodeId === again.nodeId)!;
    expect(seen.state).toBe('ready');
    await reach(id, 'starting', 2);
  });

  it.skipIf(skip)('cancels a waiting job at once, and a started one by stopping its ranks', async () => {
    const queued = await harness.plane.submitJob(
      spec({ min: 2, resources: { world: { min: 1, max: 1 }, pool: 'nowhere' } }),
    );
    expect((await harness.plane.cancelJob(queued.job.id)).state).toBe('cancelled');

    const assigned = await started({}, 'assigned');
    await harness.plane.cancelJob(assigned);
    expect((await harness.plane.listAttempts(assigned))[0]!.state).toBe('stopped');
    await expect(
      harness.nodes.recordRankState({ jobId: assigned, epoch: 1, rank: 0 }, 'launching'),
    ).rejects.toMatchObject({
      code: 'attempt_stale',
    });

    for (const to of ['launching', 'training'] as const) {
      const id = await started({}, to);
      expect((await harness.plane.cancelJob(id)).state).toBe('cancelled');
      await expect.poll(stopsOf(id), WAIT).toMatchObject([{ jobId: id, epoch: 1 }]);
      expect((await harness.plane.listAttempts(id))[0]!.state).toBe('stopping');
      const write = () =>
        harness.nodes.recordMetrics({ jobId: id, epoch: 1, rank: 0 }, [{ step: 1, at: 0, values: { loss: 1 } }]);
      await write();
      await end(id, 1, 0, { state: 'stopped' });
      await end(id, 1, 1, lost);
      await expect(write()).rejects.toMatchObject({ code: 'attempt_stale' });
      expect((await harness.plane.listAttempts(id))[0]).toMatchObject({ state: 'stopped', error: null });
      expect((await harness.plane.getJob(id)).state).toBe('cancelled');
      const slots = (await harness.plane.listNodes()).flatMap(({ slots: all }) => all);
      expect(slots.every(({ jobId }) => jobId === null)).toBe(true);
    }

    const recovering = await started();
    for (const rank of [0, 1]) await end(recovering, 1, rank, lost);
    await reach(recovering, 'recovering', 1);
    expect((await harness.plane.cancelJob(recovering)).state).toBe('cancelled');
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(await harness.plane.getJob(recovering)).toMatchObject({ state: 'cancelled', epoch: 1 });
    await expect(harness.plane.cancelJob(recovering)).rejects.toMatchObject({ code: 'job_state_conflict' });
    await expect(harness.plane.cancelJob('job-none')).rejects.toMatchObject({ code: 'job_not_found' });
  });
});
