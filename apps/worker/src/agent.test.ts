import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from './agent.js';
import { serveHealth } from './health.js';
import { workerMetrics } from './prometheus.js';
import { AgentHarness, isAlive, PATIENCE_MS, type Servers, spec, startServers } from './test-agent-harness.js';
import { DatabaseProxy } from './test-database-proxy.js';

const WAIT = { timeout: PATIENCE_MS, interval: 50 };

let servers: Servers;
let harness: AgentHarness;
let agent: Agent;

beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers?.close());
beforeEach(async () => {
  harness = await AgentHarness.open(servers);
});
afterEach(() => harness.close());

describe('Agent', { timeout: 2 * PATIENCE_MS }, () => {
  it('runs the ranks of a job and carries their reports', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const { job } = await plane.submitJob(spec(12));
    const done = await harness.reach(job.id, 'success', ({ state }) => state === 'succeeded');
    expect(done).toMatchObject({ step: 12, totalSteps: 12, epoch: 1, error: null });
    const [attempt] = await plane.listAttempts(job.id);
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
    expect((await plane.listCheckpoints(job.id)).map(({ step }) => step)).toContain(12);
    const names = (await plane.listMetrics(job.id, { limit: 1000 })).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['loss', 'rank/0/rss_mib', 'rank/1/rss_mib']));
    await expect.poll(() => agent.ranks.length, WAIT).toBe(0);
  });

  it('tells how a killed rank ended, and the job goes on in the next attempt', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const { job } = await plane.submitJob(spec(40));
    await expect.poll(async () => (await plane.listCheckpoints(job.id)).length, WAIT).toBeGreaterThan(0);
    process.kill((await harness.pidsOf(job.id))[1]!, 'SIGKILL');
    const done = await harness.reach(job.id, 'success', ({ state }) => state === 'succeeded');
    expect(done).toMatchObject({ epoch: 2, restarts: { infrastructure: 1, user: 0 } });
    const [second, first] = await plane.listAttempts(job.id);
    expect(first!.error).toMatchObject({ code: 'rank_lost', message: expect.stringContaining('SIGKILL') });
    expect(first!.ranks[0]).toMatchObject({ state: 'failed', error: { code: 'link_closed' } });
    expect(second!.startStep).toBeGreaterThan(0);
  });

  it('says what a rank said when it failed', async () => {
    agent = await harness.agent();
    const one = { resources: { world: { min: 1, max: 1 } } };
    const data = { train: { type: 'csv', urls: ['no-such.tsv'] } };
    const { job } = await harness.plane.submitJob(spec(5, { ...one, data }));
    await expect.poll(async () => (await harness.plane.getJob(job.id)).error?.code, WAIT).toBe('data_not_found');
  });

  it('ends the ranks of a cancelled job and frees their slots', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const { job } = await plane.submitJob(spec(100_000));
    await harness.reach(job.id, 'a step', ({ step }) => step > 0);
    const pids = await harness.pidsOf(job.id);
    await plane.cancelJob(job.id);
    await expect.poll(() => agent.ranks.length, WAIT).toBe(0);
    expect(pids.some(isAlive)).toBe(false);
    const [node] = await plane.listNodes();
    expect(node!.slots.every(({ jobId }) => jobId === null)).toBe(true);
  });

  it('tells Prometheus of itself and of its ranks all that the Grafana dashboard asks for', async () => {
    agent = await harness.agent();
    const { job } = await harness.plane.submitJob(spec(100_000));
    await harness.reach(job.id, 'reports of both ranks', ({ latest }) => latest['rank/1/sent_mib'] !== undefined);
    const metrics = workerMetrics(() => agent, { slots: 2 });
    const server = await serveHealth(() => 'ok', { host: '127.0.0.1', port: 0, metrics });
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
    const text = await response.text();
    await server.close();
    metrics.close();
    await harness.plane.cancelJob(job.id);
    const value = (line: string): number =>
      Number(
        text
          .split('\n')
          .find((other) => other.startsWith(`${line} `))
          ?.slice(line.length),
      );
    expect(value('clipyard_worker_slots')).toBe(2);
    expect(value('clipyard_worker_ranks')).toBe(2);
    expect(value('clipyard_worker_lease_seconds')).toBeGreaterThan(0);
    for (const rank of ['0', '1']) {
      const labels = `job_id="${job.id}",rank="${rank}"`;
      expect(value(`clipyard_rank_step{${labels}}`)).toBeGreaterThan(0);
      expect(value(`clipyard_rank_resident_memory_bytes{${labels}}`)).toBeGreaterThan(1e7);
      expect(value(`clipyard_rank_metric{${labels},metric="rank/sent_mib"}`)).toBeGreaterThan(0);
      expect(value(`clipyard_rank_metric{${labels},metric="rank/communicate_ms"}`)).toBeGreaterThan(0);
    }
    const dashboard = await readFile(new URL('../../../examples/grafana-dashboard.json', import.meta.url), 'utf8');
    const asked = new Set(dashboard.match(/clipyard_(?:worker|rank)_\w+/g));
    expect(asked.size).toBeGreaterThan(4);
    for (const name of asked) expect(text, name).toContain(`# TYPE ${name} `);
  });

  it('raises alarms of a run that goes wrong, and none of one that goes well', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const common = {
      resources: { world: { min: 1, max: 1 } },
      health: { everySteps: 5 },
      schedule: { warmupSteps: 0 },
    };
    const few = { train: { type: 'shapes', samples: 4 } };
    const { job: wild } = await plane.submitJob(spec(30, { ...common, optimizer: { lr: 10 } }));
    const { job: alike } = await plane.submitJob(spec(15, { ...common, data: few, optimizer: { lr: 1e-4 } }));
    const { job: well } = await plane.submitJob(spec(30, { ...common, optimizer: { lr: 1e-4 } }));
    const isOver = ({ state }: { state: string }): boolean => ['succeeded', 'failed'].includes(state);
    await expect.poll(async () => isOver(await plane.getJob(wild.id)), WAIT).toBe(true);
    const codes = (await plane.getJob(wild.id)).alarms.map(({ code }) => code);
    expect(codes).toEqual(expect.arrayContaining(['collapse', 'scale_at_clamp']));
    const same = await harness.reach(alike.id, 'success', ({ state }) => state === 'succeeded');
    expect(same.alarms).toMatchObject([{ code: 'false_negatives', remedy: expect.stringContaining('maskDuplicates') }]);
    const done = await harness.reach(well.id, 'success', ({ state }) => state === 'succeeded');
    expect(done.alarms).toEqual([]);
    const latest = Object.keys(done.latest);
    expect(latest).toEqual(expect.arrayContaining(['health/alignment', 'health/text/rank', 'time/health_ms']));
  });

  it('pauses a job with a checkpoint of its last step, frees the slots, and goes on from there', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const { job } = await plane.submitJob(spec(100_000, { checkpoint: { everySteps: 90_000 } }));
    await harness.reach(job.id, 'a step', ({ step }) => step > 0);
    expect(await plane.pauseJob(job.id)).toMatchObject({ state: 'pausing', reason: 'paused by request' });
    await harness.reach(job.id, 'the pause', ({ state }) => state === 'paused');
    const [checkpoint] = await plane.listCheckpoints(job.id);
    expect(checkpoint!.step).toBeGreaterThan(0);
    expect((await plane.listAttempts(job.id))[0]).toMatchObject({ state: 'stopped', error: null });
    expect((await plane.listNodes())[0]!.slots.every(({ jobId }) => jobId === null)).toBe(true);
    expect(await plane.resumeJob(job.id)).toMatchObject({ state: 'queued', epoch: 1 });
    const on = await harness.reach(job.id, 'more steps', ({ step, epoch }) => epoch === 2 && step > checkpoint!.step);
    expect(on.restarts).toEqual({ infrastructure: 0, user: 0 });
    expect((await plane.listAttempts(job.id))[0]!.startStep).toBe(checkpoint!.step);
    await plane.cancelJob(job.id);
    await expect.poll(() => agent.ranks.length, WAIT).toBe(0);
  });

  it('drains: ranks stop after their step, their ends are recorded, the node goes out of service', async () => {
    agent = await harness.agent();
    const { plane } = harness;
    const { job } = await plane.submitJob(spec(100_000));
    await harness.reach(job.id, 'a step', ({ step }) => step > 0);
    await agent.close();
    const [attempt] = await plane.listAttempts(job.id);
    expect(attempt).toMatchObject({ state: 'stopped', error: null });
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['stopped', 'stopped']);
    expect((await plane.listNodes())[0]!.state).toBe('stopped');
    expect(await plane.getJob(job.id)).toMatchObject({ restarts: { infrastructure: 0, user: 0 } });
  });

  it('lets ranks train on while the database is out of reach, and catches up', async () => {
    const proxy = await DatabaseProxy.open(servers.postgres.url);
    try {
      agent = await harness.agent({ databaseUrl: proxy.url, leaseMs: 60_000 });
      const { plane } = harness;
      const { job } = await plane.submitJob(spec(100_000));
      const before = await harness.reach(job.id, 'a step', ({ step }) => step > 0);
      const pids = await harness.pidsOf(job.id);
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(pids.every(isAlive)).toBe(true);
      await proxy.mend();
      const after = await harness.reach(job.id, 'later steps', ({ step }) => step > before.step + 5);
      expect(after).toMatchObject({ state: 'running', epoch: 1 });
      expect(await harness.pidsOf(job.id)).toEqual(pids);
      await agent.close();
    } finally {
      proxy.close();
    }
  });

  it('kills its ranks when the node was given up, and registers again', async () => {
    const proxy = await DatabaseProxy.open(servers.postgres.url);
    try {
      agent = await harness.agent({ databaseUrl: proxy.url, leaseMs: 1_500 });
      const { job } = await harness.plane.submitJob(spec(100_000));
      await harness.reach(job.id, 'a step', ({ step }) => step > 0);
      const pids = await harness.pidsOf(job.id);
      proxy.cut();
      await harness.reach(job.id, 'the loss of the node', ({ state }) => state === 'recovering');
      await proxy.mend();
      await harness.reach(job.id, 'the next attempt', ({ epoch, state }) => epoch > 1 && state === 'running');
      expect(pids.some(isAlive)).toBe(false);
      const attempts = await harness.plane.listAttempts(job.id);
      expect(attempts.at(-1)!.error).toMatchObject({ code: 'node_lost' });
      await agent.close();
    } finally {
      proxy.close();
    }
  });
});
