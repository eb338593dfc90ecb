import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Checkpoint, LIMITS, parseRunSpec } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { InspectorHost } from './inspector-host.js';

// A process of the real protocol that answers with its own id, or ends when it is asked to search.
const SCRIPT = `
process.on('message', (request) => {
  if (request.call === 'search') process.exit(7);
  if (request.start?.spec.name === 'damaged')
    return process.send({ ok: false, error: { code: 'checkpoint_damaged', message: 'no', fields: [] } });
  process.send({ ok: true, answer: { pid: process.pid } });
});
process.once('disconnect', () => process.exit());
`;

let directory: string;
let host: InspectorHost;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-inspector-'));
  await writeFile(join(directory, 'main.mjs'), SCRIPT);
  return () => rm(directory, { recursive: true });
});

afterEach(() => host.close());

function open(idleMs = 60_000): void {
  const places = { storageUrl: 'file:/nowhere', dataDir: directory, cacheDir: directory };
  host = new InspectorHost({ script: join(directory, 'main.mjs'), env: {}, idleMs, ...places });
}

const checkpoint = (id: string, { bytes = 10, name = 'fine' } = {}) => ({
  checkpoint: {
    id,
    step: 1,
    manifestSha256: '',
    files: [{ name: 'model.safetensors', bytes, sha256: '' }],
  } as unknown as Checkpoint,
  prefix: 'runs/job/step-1',
  spec: parseRunSpec({
    version: 1,
    name,
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes' } },
    batch: { global: 8 },
    duration: { steps: 1 },
  }),
});

const pidFor = async (id: string) =>
  ((await host.ask(checkpoint(id), 'similarity', { count: 1 })) as unknown as { pid: number }).pid;

/** Whether a process of this id is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('one process answers for one checkpoint, and another takes its place for the next', async () => {
  open();
  const first = await pidFor('a');
  expect(await Promise.all([pidFor('a'), pidFor('a')])).toEqual([first, first]);
  const second = await pidFor('b');
  expect(second).not.toBe(first);
  expect([isAlive(first), isAlive(second)]).toEqual([false, true]);
  await host.close();
  expect(isAlive(second)).toBe(false);
  await expect(pidFor('b')).rejects.toMatchObject({ code: 'inspector_failed' });
});

test('it ends when nobody asks any more', async () => {
  open(200);
  const pid = await pidFor('a');
  await sleep(1000);
  expect([isAlive(pid), host.pid]).toEqual([false, undefined]);
});

test('a process that ends is told by its code, and the next request has a new one', async () => {
  open();
  const first = await pidFor('a');
  await expect(host.ask(checkpoint('a'), 'search', { text: 'x', limit: 1 })).rejects.toMatchObject({
    code: 'inspector_failed',
    message: expect.stringContaining('exit code 7'),
  });
  expect(await pidFor('a')).not.toBe(first);
});

test('what a checkpoint cannot be opened for comes with its own code, and one that is too large is not opened', async () => {
  open();
  const damaged = host.ask(checkpoint('a', { name: 'damaged' }), 'similarity', { count: 1 });
  await expect(damaged).rejects.toMatchObject({ code: 'checkpoint_damaged' });
  expect(host.pid).toBeUndefined();
  const bytes = LIMITS.inspectedWeightsBytes + 1;
  await expect(host.ask(checkpoint('a', { bytes }), 'similarity', { count: 1 })).rejects.toMatchObject({
    code: 'engine_out_of_memory',
    fields: [{ path: 'checkpoint', value: bytes }],
  });
});
