import type { JobEvent } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };
let servers: Servers;
let one: Harness;
let two: Harness;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers.close());
beforeEach(async () => {
  await servers.database.reset();
  [one, two] = await Promise.all([Harness.open(servers), Harness.open(servers)]);
});
afterEach(async () => {
  await Promise.all([one.close(), two.close()]);
});

describe('when the database breaks all connections', () => {
  it('schedulers, events, messages and writes go on', async () => {
    const node = await one.node('a', 1);
    const scheduler = await one.scheduler();
    const { job: first } = await one.plane.submitJob(spec());
    await expect.poll(() => node.messages.length, WAIT).toBe(1);
    const stop = new AbortController();
    const seen: JobEvent[] = [];
    const watching = (async () => {
      for await (const event of two.plane.events(first.id, { signal: stop.signal })) seen.push(event);
    })();
    await expect.poll(() => seen.length, WAIT).toBeGreaterThan(0);
    await servers.database.disconnectAll();
    const fence = { jobId: first.id, epoch: 1 };
    await expect.poll(() => one.plane.getJob(first.id).then((job) => job.state), WAIT).toBe('starting');
    await one.advance(fence, 1, 'training');
    await one.nodes.recordRankEnd({ ...fence, rank: 0 }, { state: 'succeeded' });
    await watching;
    expect(seen.at(-1)).toMatchObject({ type: 'job.state', data: { to: 'succeeded' } });
    const { job: second } = await two.plane.submitJob(spec());
    await expect.poll(() => node.messages.at(-1), WAIT).toEqual({ type: 'launch', jobId: second.id, epoch: 1 });
    expect(scheduler.leads).toBe(true);
    stop.abort();
  });
});

describe('allocation without the leader lock', () => {
  it('gives out whole gangs and each slot once, however many processes allocate at a time', async () => {
    await one.node('a', 3);
    await two.node('b', 2);
    const ids = await Promise.all(
      Array.from({ length: 4 }, async () => (await one.plane.submitJob(spec({ min: 2 }))).job.id),
    );
    const tries = ids.flatMap((id) => [allocateGang(one.database, id), allocateGang(two.database, id)]);
    const started = (await Promise.all(tries)).filter((taken) => taken.length > 0);
    expect(started.map((taken) => taken.length)).toEqual([2, 2]);
    const slots = (await one.plane.listNodes()).flatMap((node) => node.slots).filter(({ jobId }) => jobId !== null);
    expect(slots).toHaveLength(4);
    const jobs = await Promise.all(ids.map((id) => one.plane.getJob(id)));
    expect(jobs.map(({ state, epoch }) => `${state} ${epoch}`).sort()).toEqual([
      'queued 0',
      'queued 0',
      'starting 1',
      'starting 1',
    ]);
  });
});
