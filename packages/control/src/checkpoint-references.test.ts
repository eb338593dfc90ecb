import type { RunSpecInput } from '@clipyard/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allocateGang } from './allocation.js';
import type { RankKey } from './control-plane.js';
import { settleJobs } from './settle-jobs.js';
import { Harness, type Servers, spec, startServers, type TestNode } from './test-harness.js';

let servers: Servers;
let harness: Harness;
let node: TestNode;
/** A rank of a job that trains, keeps one checkpoint and has those of steps 1 and, then, 2. */
let source: RankKey;

beforeAll(async () => {
  servers = await startServers('postgres');
});
afterAll(() => servers.close());
beforeEach(async () => {
  await servers.database.reset();
  harness = await Harness.open(servers);
  node = await harness.node('a', 4);
  const { job } = await harness.plane.submitJob(spec({ checkpoint: { keepLast: 1, keepBest: 0 } }));
  await allocateGang(harness.database, job.id);
  source = { jobId: job.id, epoch: 1, rank: 0 };
  await harness.advance(source, 1, 'training');
});
afterEach(() => harness.close());

const write = (step: number) =>
  harness.nodes.recordCheckpoint(source, {
    step,
    position: step * 64,
    prefix: `runs/${source.jobId}/step-${step}`,
    bytes: 30,
    manifestSha256: `ab${step}`,
    worldSize: 1,
    metrics: {},
    files: [{ name: 'model.safetensors', bytes: 10, sha256: 'cd' }],
  });

const submitSpec = async (changes: Partial<RunSpecInput>) => (await harness.plane.submitJob(spec(changes))).job;
const submit = (init: string) => submitSpec({ model: { preset: 'clip-tiny', init } });
const submitDistillation = (from: string) => submitSpec({ loss: { distill: { from } } });

describe('a job that learns from another as its teacher', () => {
  it('has the step written out, gets the checkpoint with its ranks, and holds it against retention until it has ended', async () => {
    await write(1);
    const job = await submitDistillation(`job:${source.jobId}`);
    expect(job.spec.loss).toMatchObject({ distill: { from: `job:${source.jobId}@1`, weight: 1 } });
    await allocateGang(harness.database, job.id);
    const [assignment] = await harness.nodes.assignments(node.lease, { jobId: job.id, epoch: 1 });
    expect(assignment!.teacher).toEqual({ step: 1, prefix: `runs/${source.jobId}/step-1`, manifestSha256: 'ab1' });
    expect(assignment).not.toHaveProperty('init');
    expect(await write(2)).toEqual([]);
    await harness.plane.cancelJob(job.id);
  });

  it('is refused without a step of it, by name', async () => {
    await write(1);
    const value = `job:${source.jobId}@2`;
    await expect(submitDistillation(value)).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ path: 'loss.distill.from', value, message: expect.stringContaining('names a step') }],
    });
  });
});

describe('a job that starts from the weights of another', () => {
  it('has the step of the newest checkpoint written out, and gets it with its ranks', async () => {
    await write(1);
    const job = await submit(`job:${source.jobId}`);
    expect(job.spec.model.init).toBe(`job:${source.jobId}@1`);
    await allocateGang(harness.database, job.id);
    const [assignment] = await harness.nodes.assignments(node.lease, { jobId: job.id, epoch: 1 });
    expect(assignment!.init).toEqual({ step: 1, prefix: `runs/${source.jobId}/step-1`, manifestSha256: 'ab1' });
    const [own] = await harness.nodes.assignments(node.lease, source);
    expect(own).not.toHaveProperty('init');
  });

  it('holds that checkpoint against retention until it has ended', async () => {
    await write(1);
    const job = await submit(`job:${source.jobId}@1`);
    expect(await write(2)).toEqual([]);
    await harness.plane.cancelJob(job.id);
    await settleJobs(harness.database, { error: () => undefined }, { removes: true });
    expect(await write(3)).toEqual([
      { step: 2, prefix: `runs/${source.jobId}/step-2` },
      { step: 1, prefix: `runs/${source.jobId}/step-1` },
    ]);
  });

  it('is refused without a job, a checkpoint or a step of it, by name', async () => {
    const refusal = (value: string, message: string) => ({
      code: 'spec_invalid',
      fields: [{ path: 'model.init', value, message: expect.stringContaining(message), remedy: expect.any(String) }],
    });
    await expect(submit('job:none')).rejects.toMatchObject(refusal('job:none', 'names no job'));
    const name = `job:${source.jobId}`;
    await expect(submit(name)).rejects.toMatchObject(refusal(name, 'without a checkpoint'));
    await write(1);
    await expect(submit(`${name}@2`)).rejects.toMatchObject(refusal(`${name}@2`, 'names a step'));
    expect((await harness.plane.listJobs({ limit: 10 })).items).toHaveLength(1);
  });
});

it('tells where a file of a checkpoint lies, the manifest included, and which there are', async () => {
  await write(1);
  const id = (await harness.plane.listCheckpoints(source.jobId))[0]!.id;
  const prefix = `runs/${source.jobId}/step-1`;
  expect(await harness.plane.checkpointFile(id, 'model.safetensors')).toEqual({
    key: `${prefix}/model.safetensors`,
    bytes: 10,
    sha256: 'cd',
  });
  expect(await harness.plane.checkpointFile(id, 'manifest.json')).toMatchObject({ bytes: 20, sha256: 'ab1' });
  await expect(harness.plane.checkpointFile(id, '../x')).rejects.toMatchObject({ fields: [{ path: 'name' }] });
  await expect(harness.plane.checkpointFile('none', 'x')).rejects.toMatchObject({ fields: [{ path: 'id' }] });
});
