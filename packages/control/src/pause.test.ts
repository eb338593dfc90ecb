import type { Job } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RankEnd } from './control-plane.js';
import { resumeJob } from './pause.js';
import { Harness, type Servers, spec, startServers, type TestNode } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };
const STOPPED: RankEnd = { state: 'stopped' };
const LOST: RankEnd = { state: 'lost', error: { code: 'rank_lost', message: 'killed by SIGKILL', fields: [] } };
const RECORD = { position: 1, bytes: 1, manifestSha256: 'ab', worldSize: 2, metrics: {}, files: [] };

describe('pausing', () => {
  let servers: Servers;
  let harness: Harness;
  let node: TestNode;

  beforeAll(async () => {
    servers = await startServers('postgres');
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    await servers.database.reset();
    harness = await Harness.open(servers);
    node = await harness.node('a', 2);
    await harness.scheduler();
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

  async function started(to: 'assigned' | 'launching' | 'training', restarts = 100): Promise<string> {
    const { job } = await harness.plane.submitJob(spec({ min: 2, restarts: { infrastructure: restarts } }));
    await reach(job.id, 'starting', 1);
    if (to !== 'assigned') await harness.advance({ jobId: job.id, epoch: 1 }, 2, to);
    return job.id;
  }

  const end = (jobId: string, epoch: number, how: RankEnd) =>
    Promise.all([0, 1].map((rank) => harness.nodes.recordRankEnd({ jobId, epoch, rank }, how)));
  const checkpoint = (jobId: string, epoch: number, step: number) =>
    harness.nodes.recordCheckpoint(
      { jobId, epoch, rank: 0 },
      { ...RECORD, step, prefix: `runs/${jobId}/step-${step}` },
    );

  it('holds a job that has not started back until it is resumed', async () => {
    const { job } = await harness.plane.submitJob(spec({ resources: { world: { min: 2, max: 2 }, pool: 'later' } }));
    expect(await harness.plane.pauseJob(job.id)).toMatchObject({ state: 'paused', reason: 'paused by request' });
    const conflict = { code: 'job_state_conflict', fields: [{ path: 'state', value: 'paused' }] };
    await expect(harness.plane.pauseJob(job.id)).rejects.toMatchObject(conflict);
    await harness.node('b', 2, 'later');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await harness.plane.getJob(job.id)).toMatchObject({ state: 'paused', epoch: 0 });
    await harness.plane.resumeJob(job.id);
    await reach(job.id, 'starting', 1);
    await expect(harness.plane.resumeJob(job.id)).rejects.toMatchObject({ code: 'job_state_conflict' });
  });

  it('stops the ranks with a checkpoint, and the next attempt goes on from it', async () => {
    const id = await started('training');
    expect((await harness.plane.pauseJob(id)).state).toBe('pausing');
    await expect(harness.plane.resumeJob(id)).rejects.toMatchObject({ code: 'job_state_conflict' });
    const stops = () => node.messages.filter(({ type }) => type === 'stop');
    await expect.poll(stops, WAIT).toMatchObject([{ jobId: id, epoch: 1, save: true }]);
    // A node that missed the message hears of it when it compares.
    expect(await harness.nodes.expectedAttempts(node.lease)).toEqual([{ jobId: id, epoch: 1, to: 'save' }]);
    await checkpoint(id, 1, 7);
    await end(id, 1, STOPPED);
    expect(await reach(id, 'paused', 1)).toMatchObject({
      reason: 'paused by request',
      restarts: { infrastructure: 0 },
    });
    expect((await harness.plane.listNodes())[0]!.slots.every(({ jobId }) => jobId === null)).toBe(true);
    await harness.plane.resumeJob(id);
    await reach(id, 'starting', 2);
    const [assignment] = await harness.nodes.assignments(node.lease, { jobId: id, epoch: 2 });
    expect(assignment!.checkpoints).toMatchObject([{ step: 7 }]);
    expect(assignment!.pauseAt).toBeUndefined();
  });

  it('withdraws ranks that no worker has taken up at once', async () => {
    const id = await started('assigned');
    expect((await harness.plane.pauseJob(id)).state).toBe('paused');
    expect((await harness.plane.listAttempts(id))[0]!.state).toBe('stopped');
  });

  it('pauses also when the attempt fails meanwhile or before, and fails when the budget is spent', async () => {
    const failing = await started('training');
    await harness.plane.pauseJob(failing);
    await end(failing, 1, LOST);
    const job = await reach(failing, 'paused', 1);
    expect(job).toMatchObject({ restarts: { infrastructure: 1 }, reason: expect.stringContaining('SIGKILL') });
    const recovering = await started('training');
    await end(recovering, 1, LOST);
    expect((await harness.plane.pauseJob(recovering)).state).toBe('paused');
    const spent = await started('training', 0);
    await harness.plane.pauseJob(spent);
    await end(spent, 1, LOST);
    await reach(spent, 'failed', 1);
    await expect(harness.plane.pauseJob(spent)).rejects.toMatchObject({ code: 'job_state_conflict' });
  });

  it('is cancelled while it pauses and when it has', async () => {
    const id = await started('training');
    await harness.plane.pauseJob(id);
    expect((await harness.plane.cancelJob(id)).state).toBe('cancelled');
    await end(id, 1, STOPPED);
    const other = await started('assigned');
    await harness.plane.pauseJob(other);
    expect((await harness.plane.cancelJob(other)).state).toBe('cancelled');
  });

  it('pauses by itself at a step that it was given, across faults before it, and goes on to the next', async () => {
    const { job } = await harness.plane.submitJob(spec({ min: 2 }));
    const paused = (await harness.plane.pauseJob(job.id)).state;
    if (paused === 'pausing') await end(job.id, 1, STOPPED);
    const resume = (pauseAt: { epochs: number }) =>
      harness.database.transaction(async (tx) =>
        resumeJob(tx, (await tx.jobs.lock(job.id))!, { reason: 'for a test', pauseAt }),
      );
    await expect.poll(async () => (await harness.plane.getJob(job.id)).state, WAIT).toBe('paused');
    let { epoch } = await resume({ epochs: 1 });
    const plan = { totalSteps: 100, parameters: 1, trainSamples: 1280, engine: 'cpu' };
    const begin = async (startStep: number, pauseStep: number) => {
      epoch += 1;
      await reach(job.id, 'starting', epoch);
      await harness.advance({ jobId: job.id, epoch }, 2, 'training');
      await harness.nodes.recordPlan({ jobId: job.id, epoch, rank: 0 }, { ...plan, startStep, pauseStep });
    };
    await begin(0, 20);
    await checkpoint(job.id, epoch, 10);
    // Stopped by its worker, short of the step: it goes on by itself.
    await end(job.id, epoch, STOPPED);
    await begin(10, 20);
    const [assignment] = await harness.nodes.assignments(node.lease, { jobId: job.id, epoch });
    expect(assignment!.pauseAt).toEqual({ epochs: 1 });
    await checkpoint(job.id, epoch, 20);
    await end(job.id, epoch, STOPPED);
    const there = await reach(job.id, 'paused', epoch);
    expect(there).toMatchObject({ pauseStep: 20, reason: 'was to pause at step 20' });
    await resume({ epochs: 3 });
    expect((await harness.plane.getJob(job.id)).pauseStep).toBeNull();
    await begin(20, 60);
    // By request, short of the step: the pause that was to come is kept.
    await harness.plane.pauseJob(job.id);
    await end(job.id, epoch, STOPPED);
    await reach(job.id, 'paused', epoch);
    await harness.plane.resumeJob(job.id);
    await begin(20, 60);
    await checkpoint(job.id, epoch, 60);
    await end(job.id, epoch, STOPPED);
    await reach(job.id, 'paused', epoch);
    // Asked for by hand, it goes on to its end.
    expect((await harness.plane.resumeJob(job.id)).pauseStep).toBeNull();
  });
});
