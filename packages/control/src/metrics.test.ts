import { LIMITS, type MetricPoint, type MetricSeries } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import type { MetricRange, RankKey } from './control-plane.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

let servers: Servers;
let harness: Harness;
let key: RankKey;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers.close());
beforeEach(async () => {
  await servers.database.reset();
  harness = await Harness.open(servers);
  await harness.node('a', 1);
  const { job } = await harness.plane.submitJob(spec());
  await allocateGang(harness.database, job.id);
  key = { jobId: job.id, epoch: 1, rank: 0 };
  await harness.advance(key, 1, 'training');
});
afterEach(() => harness.close());

interface Bucket {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** The slow reference: points in the buckets of `width` steps that a series names. */
function bucketsOf(points: readonly MetricPoint[], series: MetricSeries): Bucket[] {
  return series.firstStep.map((first, bucket) => {
    const own = points.filter(({ step }) => step >= first && step <= series.lastStep[bucket]!);
    return { steps: own.map(({ step }) => step), values: own.map(({ value }) => value) };
  });
}

async function expectExact(range: MetricRange, buckets: number): Promise<MetricSeries[]> {
  const points = await harness.plane.listMetrics(key.jobId, { ...range, limit: 10_000 });
  const all = await harness.plane.listMetricSeries(key.jobId, { ...range, buckets });
  expect(all.map(({ name }) => name)).toEqual([...new Set(points.map(({ name }) => name))].sort());
  for (const series of all) {
    const own = points.filter(({ name }) => name === series.name);
    const expected = bucketsOf(own, series);
    expect(series.firstStep.length).toBeLessThanOrEqual(buckets);
    // Each point in one bucket, each bucket within its steps.
    expect(expected.flatMap(({ steps }) => steps)).toEqual(own.map(({ step }) => step));
    for (const { steps } of expected) expect(steps.at(-1)! - steps[0]!).toBeLessThan(series.bucketSteps);
    expect(series.count).toEqual(expected.map(({ steps }) => steps.length));
    expect(series.min).toEqual(expected.map(({ values }) => Math.min(...values)));
    expect(series.max).toEqual(expected.map(({ values }) => Math.max(...values)));
    expect(series.first).toEqual(expected.map(({ values }) => values[0]));
    expect(series.last).toEqual(expected.map(({ values }) => values.at(-1)));
    expected.forEach(({ values }, bucket) => {
      const mean = values.reduce((total, value) => total + value, 0) / values.length;
      expect(series.mean[bucket]).toBeCloseTo(mean, 9);
    });
  }
  return [...all];
}

const report = (step: number, values: Record<string, number>) => ({ step, at: 1000, values });

describe('alarms', () => {
  it('stand in the job and are told by events, until they are cleared, also when the run ends of them', async () => {
    const health = (step: number, rank: number) =>
      report(step, { loss: 1, grad_norm: 1, 'health/image/rank': rank, 'health/text/rank': 9 });
    await harness.nodes.recordMetrics(key, [health(50, 1), health(100, 1)]);
    expect((await harness.plane.getJob(key.jobId)).alarms).toMatchObject([{ code: 'collapse', sinceStep: 100 }]);
    await harness.nodes.recordMetrics(key, [health(150, 9)]);
    await harness.nodes.recordMetrics(key, [health(200, 9)]);
    expect((await harness.plane.getJob(key.jobId)).alarms).toEqual([]);
    const error = { code: 'loss_not_finite', message: 'The loss of step 201 is NaN', fields: [] } as const;
    await harness.nodes.recordRankEnd(key, { state: 'failed', error });
    expect((await harness.plane.getJob(key.jobId)).alarms).toMatchObject([{ code: 'learning_rate', sinceStep: 200 }]);
    const told = [];
    for await (const { type, data } of harness.plane.events(key.jobId, { signal: AbortSignal.timeout(10_000) }))
      if (type === 'alarm') told.push([data.code, data.state, data.step]);
    expect(told).toEqual([
      ['collapse', 'raised', 100],
      ['collapse', 'cleared', 200],
      ['learning_rate', 'raised', 200],
    ]);
  });
});

describe('metrics in buckets', () => {
  it('are what their points are, at every width, also where a resumed attempt wrote steps again', async () => {
    const steps = Array.from({ length: 2500 }, (_, index) => 3 + index * 3 + Math.floor(Math.random() * 3));
    const write = (from: number, to: number) =>
      harness.nodes.recordMetrics(
        key,
        steps
          .slice(from, to)
          .map((step) => report(step, { loss: Math.random() * 10 - 5, ...(step % 7 === 0 && { lr: step / 1e5 }) })),
      );
    for (let from = 0; from < steps.length; from += 700) await write(from, from + 700);
    const ranges = [
      { range: {}, buckets: 500 },
      { range: {}, buckets: 29 },
      { range: {}, buckets: 2 },
      { range: {}, buckets: 1 },
      { range: { name: ['loss'] }, buckets: 2000 },
      { range: { fromStep: 517, toStep: 7003 }, buckets: 20 },
      { range: { afterStep: 4095, name: ['lr'] }, buckets: 100 },
      { range: { fromStep: 101, toStep: 130 }, buckets: 1 },
    ];
    for (const { range, buckets } of ranges) await expectExact(range, buckets);
    await write(900, 1100);
    await write(1099, 1100);
    for (const { range, buckets } of ranges) await expectExact(range, buckets);
    const [series] = await expectExact({ name: ['loss'] }, 3);
    expect(series!.bucketSteps).toBe(3072);
  });

  it('are left out where there are none, and refused where there would be too many', async () => {
    expect(await harness.plane.listMetricSeries(key.jobId, { buckets: 10 })).toEqual([]);
    const names = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`m${index}`, index]));
    await harness.nodes.recordMetrics(key, [report(5, names)]);
    expect(await harness.plane.listMetricSeries(key.jobId, { buckets: 10, fromStep: 6 })).toEqual([]);
    const most = Math.floor(LIMITS.metricBuckets / 300);
    await expect(harness.plane.listMetricSeries(key.jobId, { buckets: most + 1 })).rejects.toMatchObject({
      code: 'request_invalid',
      fields: [{ path: 'buckets', value: most + 1 }],
    });
    expect(await harness.plane.listMetricSeries(key.jobId, { buckets: most })).toHaveLength(300);
    await expect(
      harness.plane.listMetricSeries(key.jobId, { buckets: 1, fromStep: 7, toStep: 6 }),
    ).rejects.toMatchObject({ fields: [{ path: 'toStep' }] });
  });

  it('have names with the newest value, and hold no value whose sums would overflow', async () => {
    const high = report(2, { loss: 3, lr: 1e308, grad_norm: 1e300 });
    await harness.nodes.recordMetrics(key, [report(1, { loss: 4, grad_norm: 1e300 }), high]);
    expect(await harness.plane.listMetricNames(key.jobId)).toMatchObject([
      { name: 'grad_norm', points: 2, firstStep: 1, lastStep: 2, latest: 1e300 },
      { name: 'loss', points: 2, firstStep: 1, lastStep: 2, latest: 3, at: new Date(1000).toISOString() },
    ]);
  });
});
