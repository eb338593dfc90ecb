import type { JobEvent } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

const WAIT = { timeout: 15_000, interval: 20 };

let servers: Servers;
let harness: Harness;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers.close());
beforeEach(async () => {
  await servers.database.reset();
  harness = await Harness.open(servers);
  await harness.node('a', 4);
});
afterEach(() => harness.close());

async function running(worldSize: number): Promise<{ jobId: string; epoch: number }> {
  const { job } = await harness.plane.submitJob(spec({ min: worldSize }));
  await allocateGang(harness.database, job.id);
  await harness.advance({ jobId: job.id, epoch: 1 }, worldSize, 'training');
  return { jobId: job.id, epoch: 1 };
}

async function collect(events: AsyncIterable<JobEvent>, into: JobEvent[] = []): Promise<JobEvent[]> {
  for await (const event of events) into.push(event);
  return into;
}

const never = new AbortController().signal;

describe('events', () => {
  it('tell the whole story of a job in order, and end with it', async () => {
    const fence = await running(2);
    const live = collect(harness.plane.events(fence.jobId, { signal: never }));
    await harness.nodes.recordMetrics({ ...fence, rank: 0 }, [{ step: 1, at: 0, values: { loss: 1 } }]);
    for (const rank of [0, 1]) await harness.nodes.recordRankEnd({ ...fence, rank }, { state: 'succeeded' });
    const events = await live;
    expect(events.filter(({ type }) => type === 'job.state').map(({ data }) => data.to)).toEqual([
      'queued',
      'starting',
      'running',
      'succeeded',
    ]);
    expect(events.filter(({ type }) => type === 'attempt.state').map(({ data }) => data.to)).toEqual([
      'starting',
      'running',
      'succeeded',
    ]);
    expect(events.find(({ type }) => type === 'metrics')!.data).toEqual({ step: 1, values: { loss: 1 } });
    expect(events.at(-1)).toMatchObject({ type: 'job.state', data: { to: 'succeeded' } });
    expect(await collect(harness.plane.events(fence.jobId, { signal: never }))).toEqual(events);
  });

  it('resume after an id without gap or duplicate while many processes write', async () => {
    const fence = await running(4);
    const stop = new AbortController();
    const watched: JobEvent[] = [];
    const watching = collect(harness.plane.events(fence.jobId, { signal: stop.signal }), watched);
    // A reader that breaks off and resumes again and again, as a browser with a bad connection.
    const pieces: JobEvent[] = [];
    const resuming = (async () => {
      while (!stop.signal.aborted) {
        const after = pieces.at(-1)?.id;
        let read = 0;
        for await (const event of harness.plane.events(fence.jobId, {
          signal: stop.signal,
          ...(after === undefined ? {} : { after }),
        })) {
          pieces.push(event);
          if (++read === 7) break;
        }
      }
    })();
    const steps = 25;
    const write = async (rank: number) => {
      for (let step = 1; step <= steps; step++) {
        if (rank === 0)
          await harness.nodes.recordMetrics({ ...fence, rank }, [{ step, at: 0, values: { loss: step } }]);
        else await harness.nodes.recordRankState({ ...fence, rank }, step % 2 === 1 ? 'evaluating' : 'training');
      }
    };
    await Promise.all([0, 1, 2, 3].map(write));
    const stored = await harness.database.read((db) => db.events.after(fence.jobId, 0n, 1000));
    const ids = stored.map(({ id }) => String(id));
    expect(ids.length).toBeGreaterThan(4 * steps);
    await expect.poll(() => [watched.length, pieces.length], WAIT).toEqual([ids.length, ids.length]);
    stop.abort();
    await Promise.all([watching, resuming]);
    expect(watched.map(({ id }) => id)).toEqual(ids);
    expect(pieces.map(({ id }) => id)).toEqual(ids);
  });

  it('come soon after the write, from another process too', async () => {
    const fence = await running(1);
    const other = await Harness.open(servers);
    const stop = new AbortController();
    const seen: JobEvent[] = [];
    const watching = collect(other.plane.events(fence.jobId, { signal: stop.signal }), seen);
    await expect.poll(() => seen.length, WAIT).toBeGreaterThan(0);
    const from = performance.now();
    await harness.nodes.recordRankState({ ...fence, rank: 0 }, 'evaluating');
    await expect.poll(() => seen.at(-1)?.data.to, { ...WAIT, interval: 5 }).toBe('evaluating');
    expect(performance.now() - from).toBeLessThan(1800);
    stop.abort();
    await watching;
    await other.close();
  });

  it('of a cancelled job go on until its ranks have ended', async () => {
    const fence = await running(1);
    const live = collect(harness.plane.events(fence.jobId, { signal: never }));
    await harness.plane.cancelJob(fence.jobId);
    await harness.nodes.recordRankEnd({ ...fence, rank: 0 }, { state: 'stopped' });
    expect((await live).at(-1)).toMatchObject({ type: 'attempt.state', data: { to: 'stopped' } });
  });

  it('never hold the secret of an attempt, nor the stack of an error', async () => {
    const fence = await running(1);
    const secret = (await harness.database.read((db) => db.attempts.find(fence.jobId, 1)))!.secret;
    const error = { code: 'internal', message: 'm', fields: [], stack: 'at hidden' } as const;
    await harness.nodes.recordRankEnd({ ...fence, rank: 0 }, { state: 'failed', error });
    await harness.plane.cancelJob(fence.jobId);
    const text = JSON.stringify(await collect(harness.plane.events(fence.jobId, { signal: never })));
    expect(text).toContain('"internal"');
    expect(text).not.toContain(secret);
    expect(text).not.toContain('at hidden');
    expect(JSON.stringify(await harness.plane.listAttempts(fence.jobId))).not.toContain(secret);
  });

  it('of an unknown job, or after an id that is none, are refused', async () => {
    await expect(collect(harness.plane.events('job-none', { signal: never }))).rejects.toMatchObject({
      code: 'job_not_found',
    });
    const fence = await running(1);
    const bad = harness.plane.events(fence.jobId, { after: 'x', signal: never });
    await expect(collect(bad)).rejects.toMatchObject({ code: 'request_invalid' });
  });
});
