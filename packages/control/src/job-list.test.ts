import { JOB_SORTS, type Job, type JobSort } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

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

type Input = Parameters<typeof spec>[0];
const submit = async (input: Input): Promise<Job> => (await harness.plane.submitJob(spec(input))).job;
const names = async (query: Omit<Parameters<Harness['plane']['listJobs']>[0], 'limit'>): Promise<string[]> =>
  (await harness.plane.listJobs({ sort: 'name', ...query, limit: 100 })).items.map(({ name }) => name);

it('filters by states, labels, time and text', async () => {
  await submit({ name: 'a', labels: { team: 'Vision', kind: 'x' } });
  const b = await submit({ name: 'b', labels: { team: 'Vision' } });
  const c = await submit({ name: 'c.100_x', labels: { team: 'text' } });
  await harness.plane.pauseJob(b.id);
  await harness.plane.cancelJob(c.id);
  expect(await names({ state: ['queued', 'cancelled'] })).toEqual(['a', 'c.100_x']);
  expect(await names({ label: ['team=Vision', 'kind'] })).toEqual(['a']);
  expect(await names({ label: ['team=vision'] })).toEqual([]);
  expect(await names({ createdAfter: b.createdAt })).toContain('c.100_x');
  expect(await names({ createdBefore: '2020-01-01T00:00:00+02:00' })).toEqual([]);
  expect(await names({ text: 'VISION' })).toEqual(['a', 'b']);
  expect(await names({ text: c.id.slice(4).toUpperCase() })).toEqual(['c.100_x']);
  expect(await names({ text: 'By Request' })).toEqual(['b', 'c.100_x']);
  // What means something to LIKE means itself.
  expect(await names({ text: '100_' })).toEqual(['c.100_x']);
  for (const text of ['%', '1_0', '\\']) expect(await names({ text }), text).toEqual([]);
  expect(await names({ state: ['paused'], label: ['team'], text: 'b' })).toEqual(['b']);
});

it.each(JOB_SORTS)('%s: pages follow each other without gap or repetition while jobs come', async (sort) => {
  const priorities = [7, 100, 7, 0, 50, 7];
  for (const [i, priority] of priorities.entries()) await submit({ name: `n${5 - i}`, priority });
  const before = (await harness.plane.listJobs({ sort, limit: 100 })).items;
  const expected = [...before].sort((a, b) => compare(a, b, sort)).map(({ id }) => id);
  expect(before.map(({ id }) => id)).toEqual(expected);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await harness.plane.listJobs({ sort, limit: 2, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
    await submit({ name: 'n3', priority: 7 });
  } while (cursor !== undefined);
  const known = new Set(expected);
  expect(seen.filter((id) => known.has(id))).toEqual(expected);
  expect(new Set(seen).size).toBe(seen.length);
});

it('refuses the cursor of another order', async () => {
  for (let i = 0; i < 2; i++) await submit({});
  const { nextCursor } = await harness.plane.listJobs({ sort: 'name', limit: 1 });
  const refused = { code: 'request_invalid', fields: [{ path: 'cursor' }] };
  await expect(harness.plane.listJobs({ limit: 1, cursor: nextCursor! })).rejects.toMatchObject(refused);
  for (const text of ['-createdAt x job-1', '-createdAt 2026-13-01T00:00:00.000Z job-1', '-createdAt 1 job-1 ']) {
    const cursor = Buffer.from(text).toString('base64url');
    await expect(harness.plane.listJobs({ limit: 1, cursor })).rejects.toMatchObject(refused);
  }
});

function compare(a: Job, b: Job, sort: JobSort): number {
  const sign = sort.startsWith('-') ? -1 : 1;
  const field = sort.replace('-', '') as 'createdAt' | 'finishedAt' | 'name' | 'priority';
  const [x, y] = [a[field] ?? '9', b[field] ?? '9'];
  return sign * (x < y ? -1 : x > y ? 1 : a.id < b.id ? -1 : 1);
}
