import type { RunSpec } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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
});
afterEach(() => harness.close());

type Engine = RunSpec['resources']['engine'];
const on = (engine: Engine, min = 1, pool = 'default'): RunSpec =>
  spec({ resources: { world: { min, max: min }, engine, pool } });
const submit = async (what: RunSpec): Promise<string> => (await harness.plane.submitJob(what)).job.id;
const stateOf = async (id: string): Promise<string> => (await harness.plane.getJob(id)).state;
const reasonOf = async (id: string): Promise<string | null> => (await harness.plane.getJob(id)).reason;

describe('a job that names its engine', () => {
  it('runs only on nodes that have it, and takes none of them from others in vain', async () => {
    const plain = await harness.node('plain', 3, 'default', ['onnxruntime', 'cpu']);
    const built = await harness.node('built', 2, 'default', ['onnxruntime', 'tensorflow', 'cpu']);
    await harness.scheduler();
    const id = await submit(on('tensorflow', 2));
    await expect.poll(() => stateOf(id), WAIT).toBe('starting');
    const [attempt] = await harness.plane.listAttempts(id);
    expect(attempt!.ranks.map(({ nodeId }) => nodeId)).toEqual([built.nodeId, built.nodeId]);
    const waiting = await submit(on('tensorflow'));
    const other = await submit(on('cpu', 2));
    await expect.poll(() => stateOf(other), WAIT).toBe('starting');
    const [ofOther] = await harness.plane.listAttempts(other);
    expect(ofOther!.ranks.map(({ nodeId }) => nodeId)).toEqual([plain.nodeId, plain.nodeId]);
    await expect
      .poll(() => reasonOf(waiting), WAIT)
      .toBe('waits for 1 slot with the engine tensorflow to come free in pool `default`');
    expect(await stateOf(waiting)).toBe('queued');
  });

  it('waits for such a node, says so, and starts when one comes', async () => {
    await harness.node('plain', 2, 'default', ['onnxruntime', 'cpu']);
    await harness.scheduler();
    const id = await submit(on('tensorflow'));
    const why = 'waits for a node with the engine tensorflow: none that is ready in pool `default` has it';
    await expect.poll(() => reasonOf(id), WAIT).toBe(why);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await harness.node('built', 1, 'default', ['tensorflow']);
    await expect.poll(() => stateOf(id), WAIT).toBe('starting');
    expect(await reasonOf(id)).toBeNull();
    const events = await harness.database.read((db) => db.events.after(id, 0n, 100));
    const told = events.filter(({ type }) => type === 'job.state').map(({ data }) => data);
    expect(told, 'told once, not in every round').toEqual([
      { from: null, to: 'queued', reason: null },
      { from: 'queued', to: 'queued', reason: why },
      { from: 'queued', to: 'starting', reason: null },
    ]);
  });

  it('is refused when the nodes that have it can never hold it', async () => {
    await harness.node('plain', 8, 'default', ['onnxruntime']);
    await harness.node('built', 2, 'default', ['onnxruntime', 'tensorflow']);
    await expect(harness.plane.submitJob(on('tensorflow', 4))).rejects.toMatchObject({
      code: 'world_unsatisfiable',
      fields: [{ path: 'resources.world.min', value: 4, message: expect.stringContaining('2 slots') }],
    });
    await submit(on('auto', 4));
    await submit(on('onnxruntime', 4));
  });
});

describe('the reason of a job that waits', () => {
  it('names a pool without nodes, and one whose nodes are gone', async () => {
    const gone = await harness.node('gone', 4, 'left');
    await harness.nodes.deregister(gone.lease);
    await harness.scheduler();
    for (const pool of ['empty', 'left']) {
      const id = await submit(on('auto', 2, pool));
      await expect.poll(() => reasonOf(id), WAIT).toBe(`waits for nodes: pool \`${pool}\` has none that are ready`);
    }
  });

  it('tells nodes that are too few from slots that are in use', async () => {
    const [first, second] = [await harness.node('first', 1), await harness.node('second', 1)];
    await harness.nodes.drain(second.lease);
    await harness.scheduler();
    const wide = await submit(on('auto', 2));
    const runs = await submit(on('auto'));
    await expect.poll(() => stateOf(runs), WAIT).toBe('starting');
    const waits = await submit(on('auto'));
    await expect
      .poll(() => reasonOf(wide), WAIT)
      .toBe('waits for more nodes: needs 2 slots, and pool `default` has 1 slot');
    await expect.poll(() => reasonOf(waits), WAIT).toBe('waits for 1 slot to come free in pool `default`');
    await harness.nodes.deregister(first.lease);
    const why = 'waits for nodes: pool `default` has none that are ready';
    await expect.poll(() => reasonOf(waits), WAIT).toBe(why);
    // The one that ran recovers: its reason keeps what ended the attempt, whoever of worker and scheduler was first to see it.
    await expect
      .poll(() => reasonOf(runs), WAIT)
      .toMatch(/^The (rank was lost: its node was stopped|node stopped renewing its lease); waits for nodes: /);
    expect(await stateOf(runs)).toBe('recovering');
  });
});
