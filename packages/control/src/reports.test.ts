import { LIMITS } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import type { RankKey } from './control-plane.js';
import { Harness, type Servers, spec, startServers, type TestNode } from './test-harness.js';

let servers: Servers;
let harness: Harness;
let node: TestNode;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers.close());
beforeEach(async () => {
  await servers.database.reset();
  harness = await Harness.open(servers);
  node = await harness.node('a', 4);
});
afterEach(() => harness.close());

async function running(input: Parameters<typeof spec>[0] = {}): Promise<RankKey> {
  const { job } = await harness.plane.submitJob(spec(input));
  expect(await allocateGang(harness.database, job.id)).not.toEqual([]);
  const key = { jobId: job.id, epoch: 1, rank: 0 };
  await harness.advance(key, job.spec.resources.world.min, 'training');
  return key;
}

const checkpoint = (step: number, metrics = {}) => ({
  step,
  position: step * 64,
  prefix: `runs/x/step-${step}`,
  bytes: 2 ** 40,
  manifestSha256: 'ab',
  worldSize: 1,
  metrics,
  files: [{ name: 'model.safetensors', bytes: 10, sha256: 'cd' }],
});

describe('submitting', () => {
  it('makes one job of the same idempotency key and spec, also at the same time, and refuses another spec', async () => {
    const submit = (seed: number) => harness.plane.submitJob(spec({ seed }), { idempotencyKey: 'k' });
    const results = await Promise.all([submit(1), submit(1), submit(1), submit(1)]);
    expect(new Set(results.map(({ job }) => job.id)).size).toBe(1);
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    await expect(submit(2)).rejects.toMatchObject({
      code: 'idempotency_key_reused',
      fields: [{ path: 'Idempotency-Key' }],
    });
    expect((await harness.plane.listJobs({ limit: 10 })).items).toHaveLength(1);
  });

  it('refuses a world that the pool can never hold, and keeps nothing of it', async () => {
    await expect(harness.plane.submitJob(spec({ min: 8 }), { idempotencyKey: 'w' })).rejects.toMatchObject({
      code: 'world_unsatisfiable',
      fields: [{ path: 'resources.world.min', value: 8 }],
    });
    expect((await harness.plane.listJobs({ limit: 10 })).items).toEqual([]);
    const empty = spec({ resources: { world: { min: 8, max: 8 }, pool: 'empty' } });
    expect((await harness.plane.submitJob(empty, { idempotencyKey: 'w' })).job.state).toBe('queued');
  });

  it('lists jobs newest first, page by page, by state and label', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      ids.unshift((await harness.plane.submitJob(spec({ labels: { team: i % 2 === 0 ? 'a=b' : 'c' } }))).job.id);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await harness.plane.listJobs({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids);
    expect((await harness.plane.listJobs({ label: ['team=a=b'], limit: 10 })).items).toHaveLength(3);
    expect((await harness.plane.listJobs({ label: ['team'], limit: 10 })).items).toHaveLength(5);
    expect((await harness.plane.listJobs({ label: ['none'], limit: 10 })).items).toEqual([]);
    expect((await harness.plane.listJobs({ state: ['failed'], limit: 10 })).items).toEqual([]);
    await expect(harness.plane.listJobs({ cursor: 'x', limit: 1 })).rejects.toMatchObject({ code: 'request_invalid' });
  });
});

describe('reports of ranks', () => {
  it('of a stale epoch are refused, every one of them', async () => {
    const key = await running();
    await harness.nodes.recordRankEnd(key, { state: 'lost', error: { code: 'rank_lost', message: 'x', fields: [] } });
    expect(await allocateGang(harness.database, key.jobId)).toHaveLength(1);
    const { nodes } = harness;
    const plan = { totalSteps: 1, startStep: 0, pauseStep: null, parameters: 1, trainSamples: 1, engine: 'cpu' };
    const writes = await Promise.allSettled([
      nodes.recordRankState(key, 'evaluating'),
      nodes.recordPlan(key, plan),
      nodes.recordMetrics(key, [{ step: 1, at: 0, values: { loss: 1 } }]),
      nodes.recordLogs(key, [{ at: 0, level: 'info', message: 'x' }]),
      nodes.recordCheckpoint(key, checkpoint(1)),
      nodes.recordEvaluation(key, { step: 1, final: false, values: {}, results: [], samples: [] }),
    ]);
    for (const write of writes) expect(write).toMatchObject({ status: 'rejected', reason: { code: 'attempt_stale' } });
    expect(await harness.plane.listCheckpoints(key.jobId)).toEqual([]);
    expect(await harness.plane.listMetrics(key.jobId, { limit: 10 })).toEqual([]);
    // The end of a rank that has ended is no news.
    await nodes.recordRankEnd(key, { state: 'succeeded' });
    expect((await harness.plane.listAttempts(key.jobId))[1]!.ranks[0]!.state).toBe('lost');
  });

  it('move a rank only as its state machine allows', async () => {
    const key = await running();
    await expect(harness.nodes.recordRankState(key, 'connecting')).rejects.toMatchObject({
      code: 'job_state_conflict',
    });
    await harness.nodes.recordRankState(key, 'training');
    await harness.nodes.recordRankState(key, 'evaluating');
  });

  it('give all addresses to the ranks once every rank has one', async () => {
    const { job } = await harness.plane.submitJob(spec({ min: 2 }));
    await allocateGang(harness.database, job.id);
    const fence = { jobId: job.id, epoch: 1 };
    await harness.nodes.recordRankState({ ...fence, rank: 0 }, 'launching');
    await harness.nodes.recordRankState({ ...fence, rank: 0 }, 'connecting', { host: 'a', port: 1 });
    expect(await harness.nodes.peers(fence)).toBeUndefined();
    await harness.nodes.recordRankState({ ...fence, rank: 1 }, 'launching');
    await harness.nodes.recordRankState({ ...fence, rank: 1 }, 'connecting', { host: 'b', port: 2 });
    expect(await harness.nodes.peers(fence)).toEqual([
      { rank: 0, host: 'a', port: 1 },
      { rank: 1, host: 'b', port: 2 },
    ]);
  });

  it('of metrics overwrite the steps that a resumed run repeats, and update the job', async () => {
    const key = await running({ min: 2 });
    const report = (step: number, loss: number) => ({
      step,
      at: 1000,
      values: { loss, lr: 0.1, bad: Number.NaN, 'rank/rss_mib': 5 },
    });
    await harness.nodes.recordMetrics(key, [report(1, 4), report(2, 3)]);
    await harness.nodes.recordMetrics({ ...key, rank: 1 }, [{ step: 2, at: 1000, values: { 'rank/rss_mib': 7 } }]);
    await harness.nodes.recordMetrics(key, [report(2, 2.5)]);
    const points = await harness.plane.listMetrics(key.jobId, { name: ['loss'], limit: 10 });
    expect(points.map(({ step, value }) => [step, value])).toEqual([
      [1, 4],
      [2, 2.5],
    ]);
    const job = await harness.plane.getJob(key.jobId);
    expect(job).toMatchObject({ state: 'running', step: 2 });
    expect(job.latest).toEqual({ loss: 2.5, lr: 0.1, 'rank/rss_mib': 5, 'rank/0/rss_mib': 5, 'rank/1/rss_mib': 7 });
    const page = await harness.plane.listMetrics(key.jobId, { limit: 1 });
    expect(new Set(page.map(({ step }) => step))).toEqual(new Set([1]));
    expect(page.length).toBeGreaterThan(1);
  });

  it('of logs are shortened and come back page by page, by least level and rank', async () => {
    const key = await running();
    const entry = (level: 'info' | 'error', message: string) => ({ at: 1000, level, message, fields: { n: 1 } });
    await harness.nodes.recordLogs(key, [
      entry('info', 'x'.repeat(10_000)),
      entry('error', 'nul \0'),
      entry('info', 'last'),
    ]);
    const first = await harness.plane.listLogs(key.jobId, { limit: 2 });
    expect(first.items[0]!.message).toHaveLength(LIMITS.logMessageChars);
    const second = await harness.plane.listLogs(key.jobId, { limit: 2, cursor: first.nextCursor! });
    expect(second).toMatchObject({ items: [{ message: 'last', fields: { n: 1 } }], nextCursor: null });
    expect((await harness.plane.listLogs(key.jobId, { level: 'warn', limit: 9 })).items).toHaveLength(1);
    expect((await harness.plane.listLogs(key.jobId, { rank: 1, limit: 9 })).items).toEqual([]);
  });

  it('of logs are found by words, else by a part of a line, by time, and the newest first', async () => {
    const key = await running();
    const at = Date.parse('2026-01-01T00:00:00Z');
    const texts = ['Loading shard 17', 'the loss is 50%_off', 'loading done', 'Disk full'];
    await harness.nodes.recordLogs(
      key,
      texts.map((message, index) => ({ at: at + index * 1000, level: 'info', message })),
    );
    const find = async (query: object) =>
      (await harness.plane.listLogs(key.jobId, { limit: 9, ...query })).items.map(({ message }) => message);
    expect(await find({ text: 'loading' })).toEqual([texts[0], texts[2]]);
    expect(await find({ text: '"loading shard"' })).toEqual([texts[0]]);
    expect(await find({ text: 'loading -done or disk', order: 'newest' })).toEqual([texts[3], texts[0]]);
    expect(await find({ text: 'oad' })).toEqual([texts[0], texts[2]]);
    expect(await find({ text: '%_O' })).toEqual([texts[1]]);
    expect(await find({ text: '%%' })).toEqual([]);
    const times = { from: new Date(at + 1000).toISOString(), to: new Date(at + 2000).toISOString() };
    expect(await find(times)).toEqual([texts[1], texts[2]]);
    const first = await harness.plane.listLogs(key.jobId, { order: 'newest', limit: 3 });
    expect(first.items.map(({ message }) => message)).toEqual([texts[3], texts[2], texts[1]]);
    expect(await find({ order: 'newest', cursor: first.nextCursor })).toEqual([texts[0]]);
  });

  it('of errors in logs reach those who follow the events', async () => {
    const key = await running();
    await harness.nodes.recordLogs(key, [
      { at: 1000, level: 'warn', message: 'a sample is skipped' },
      { at: 1001, level: 'error', message: 'a checkpoint was not written' },
    ]);
    await harness.plane.cancelJob(key.jobId);
    await harness.nodes.recordRankEnd(key, { state: 'stopped' });
    const warnings = [];
    const signal = AbortSignal.timeout(10_000);
    for await (const event of harness.plane.events(key.jobId, { signal }))
      if (event.type === 'warning') warnings.push(event.data);
    expect(warnings).toEqual([{ rank: 0, message: 'a checkpoint was not written' }]);
  });

  it('of checkpoints apply retention and return what it lets go', async () => {
    const key = await running({ checkpoint: { keepLast: 1, keepBest: 1, bestBy: 'loss' } });
    expect(await harness.nodes.recordCheckpoint(key, checkpoint(10, { loss: 1 }))).toEqual([]);
    expect(await harness.nodes.recordCheckpoint(key, checkpoint(20, { loss: 2 }))).toEqual([]);
    expect(await harness.nodes.recordCheckpoint(key, checkpoint(30, { loss: 3 }))).toEqual([
      { step: 20, prefix: 'runs/x/step-20' },
    ]);
    const kept = await harness.plane.listCheckpoints(key.jobId);
    expect(kept.map(({ step }) => step)).toEqual([30, 10]);
    expect(kept[0]).toMatchObject({ url: 'file:///store/runs/x/step-30', bytes: 2 ** 40, position: 1920, epoch: 1 });
    expect(await harness.plane.getCheckpoint(kept[0]!.id)).toEqual(kept[0]);
    await expect(harness.plane.getCheckpoint('none')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('end the job when all ranks have succeeded', async () => {
    const key = await running({ min: 2 });
    await harness.nodes.recordRankEnd({ ...key, rank: 1 }, { state: 'succeeded' });
    expect((await harness.plane.getJob(key.jobId)).state).toBe('running');
    await harness.nodes.recordRankEnd(key, { state: 'succeeded' });
    expect(await harness.plane.getJob(key.jobId)).toMatchObject({ state: 'succeeded', error: null });
  });

  it('tell a node which attempts it should run', async () => {
    const key = await running();
    expect(await harness.nodes.expectedAttempts(node.lease)).toEqual([{ jobId: key.jobId, epoch: 1, to: 'run' }]);
    await harness.plane.cancelJob(key.jobId);
    expect(await harness.nodes.expectedAttempts(node.lease)).toEqual([]);
  });
});

describe('health', () => {
  it('names what is up', async () => {
    expect(await harness.plane.health()).toEqual({ status: 'ok', checks: { database: 'ok', queue: 'ok' } });
  });
});
