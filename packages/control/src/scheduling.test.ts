import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BACKENDS } from './test-backends.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

const WAIT = { timeout: 20_000, interval: 20 };

describe.each(BACKENDS)('the scheduler, $name', ({ kind, skip }) => {
  let servers: Servers;
  let one: Harness;
  let two: Harness;

  beforeAll(async () => {
    if (!skip) servers = await startServers(kind);
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    if (skip) return;
    await servers.database.reset();
    [one, two] = await Promise.all([Harness.open(servers), Harness.open(servers)]);
  });
  afterEach(async () => {
    if (skip) return;
    await Promise.all([one.close(), two.close()]);
  });

  const stateOf = async (id: string): Promise<string> => (await one.plane.getJob(id)).state;

  it.skipIf(skip)('starts a job that was submitted: attempt, ranks, slots and messages to the nodes', async () => {
    const [a, b] = [await one.node('a', 1), await one.node('b', 1)];
    await one.scheduler();
    const { job, created } = await two.plane.submitJob(spec({ min: 2 }));
    expect(created).toBe(true);
    const launch = { type: 'launch', jobId: job.id, epoch: 1 };
    await expect.poll(() => [...a.messages, ...b.messages], WAIT).toEqual([launch, launch]);
    expect(await one.plane.getJob(job.id)).toMatchObject({ state: 'starting', epoch: 1, worldSize: 2 });
    const [attempt] = await one.plane.listAttempts(job.id);
    expect(attempt).toMatchObject({ epoch: 1, state: 'starting', worldSize: 2 });
    expect(attempt!.ranks.map(({ state }) => state)).toEqual(['assigned', 'assigned']);
    const [mine] = await one.nodes.assignments(a.lease, { jobId: job.id, epoch: 1 });
    const [theirs] = await one.nodes.assignments(b.lease, { jobId: job.id, epoch: 1 });
    expect(mine!.secret).toMatch(/^[\w-]{43}$/);
    expect(theirs!.secret).toBe(mine!.secret);
    expect([mine!.rank, theirs!.rank].sort()).toEqual([0, 1]);
    expect(one.problems).toEqual([]);
  });

  it.skipIf(skip)('reaches a job that fits behind any number of more urgent ones that do not', async () => {
    await one.node('a', 1);
    const big = spec({ resources: { world: { min: 2, max: 2 }, pool: 'elsewhere', priority: 100 } });
    await one.database.transaction(async (tx) => {
      for (let i = 0; i < 201; i++) await tx.jobs.create(`job-${i}`, big, { project: 'default' });
    });
    const { job } = await one.plane.submitJob(spec());
    await one.scheduler();
    await expect.poll(() => stateOf(job.id), { ...WAIT, timeout: 5_000 }).toBe('starting');
  });

  it.skipIf(skip)(
    'gives competing jobs whole gangs, never parts, with two schedulers and no slot used twice',
    async () => {
      await one.node('a', 2);
      await two.node('b', 1);
      await Promise.all([one.scheduler(), two.scheduler()]);
      const submit = () => one.plane.submitJob(spec({ min: 2 }));
      const ids = (await Promise.all([submit(), submit(), submit()])).map(({ job }) => job.id);
      const states = async () => (await Promise.all(ids.map(stateOf))).sort();
      await expect.poll(states, WAIT).toEqual(['queued', 'queued', 'starting']);
      for (let started = 1; started <= 3; started++) {
        const jobs = await Promise.all(ids.map((id) => one.plane.getJob(id)));
        const [running] = jobs.filter(({ state }) => state === 'starting');
        const slots = (await one.plane.listNodes()).flatMap((node) => node.slots).filter((slot) => slot.jobId !== null);
        expect(slots.map(({ jobId, rank }) => [jobId, rank]).sort()).toEqual([0, 1].map((rank) => [running!.id, rank]));
        await one.advance({ jobId: running!.id, epoch: 1 }, 2, 'training');
        for (const rank of [0, 1])
          await one.nodes.recordRankEnd({ jobId: running!.id, epoch: 1, rank }, { state: 'succeeded' });
        expect(await stateOf(running!.id)).toBe('succeeded');
        const next = started === 3 ? ['succeeded', 'succeeded', 'succeeded'] : undefined;
        if (next !== undefined) await expect.poll(states, WAIT).toEqual(next);
        else
          await expect.poll(async () => (await states()).filter((state) => state === 'starting').length, WAIT).toBe(1);
      }
    },
  );

  it.skipIf(skip)('takes the largest world size that fits and divides the global batch', async () => {
    await one.node('a', 7);
    await one.scheduler();
    const { job } = await one.plane.submitJob(spec({ min: 1, max: 8 }));
    await expect.poll(async () => (await one.plane.getJob(job.id)).worldSize, WAIT).toBe(4);
  });

  it.skipIf(skip)('starts by priority, then age, and lets a small job pass one that does not fit', async () => {
    const low = await one.plane.submitJob(spec({ priority: 10 }));
    const old = await one.plane.submitJob(spec({ priority: 50 }));
    const young = await one.plane.submitJob(spec({ priority: 50 }));
    const wide = await one.plane.submitJob(spec({ priority: 90, min: 4 }));
    await one.scheduler();
    await one.node('a', 1);
    await expect.poll(() => stateOf(old.job.id), WAIT).toBe('starting');
    for (const waiting of [low, young, wide]) expect(await stateOf(waiting.job.id)).toBe('queued');
  });

  it.skipIf(skip)('leaves draining, lost and foreign nodes alone', async () => {
    await one.node('elsewhere', 4, 'other');
    const gone = await one.node('gone', 4);
    await one.nodes.deregister(gone.lease);
    const draining = await one.node('draining', 4);
    await one.nodes.drain(draining.lease);
    await one.scheduler();
    const { job } = await one.plane.submitJob(spec());
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await stateOf(job.id)).toBe('queued');
    await one.node('gone', 4);
    await expect.poll(() => stateOf(job.id), WAIT).toBe('starting');
  });

  it.skipIf(skip)('has one leader, and another takes over when it ends', async () => {
    const first = await one.scheduler();
    await expect.poll(() => first.leads, WAIT).toBe(true);
    const second = await two.scheduler();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(second.leads).toBe(false);
    await first.close();
    await expect.poll(() => second.leads, WAIT).toBe(true);
    const node = await two.node('a', 1);
    const { job } = await one.plane.submitJob(spec());
    await expect.poll(() => node.messages, WAIT).toEqual([{ type: 'launch', jobId: job.id, epoch: 1 }]);
  });

  it.skipIf(skip)('brings a message to a handler again until it succeeds', async () => {
    const { nodeId } = await one.nodes.register({
      name: 'a',
      pool: 'default',
      host: 'h',
      version: '0',
      engines: [],
      slots: 1,
    });
    let tries = 0;
    await one.nodes.consume(nodeId, async () => {
      tries++;
      if (tries < 3) throw new Error('not yet');
    });
    await one.scheduler();
    await one.plane.submitJob(spec());
    await expect.poll(() => tries, WAIT).toBe(3);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(tries).toBe(3);
  });
});
