import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type CheckpointRecord, parseRunSpec, type RankStart, type RunSpecInput } from '@clipyard/contracts';
import { type Engine, openEngine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { openBlobStore } from '@clipyard/storage';
import { readSafetensors, tensorFloats } from '@clipyard/tensor';
import { referenceGroups } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { train } from '../train.js';
import { TINY, tensorsOf, writeHubDirectory, writeWeights } from './test-weights.js';

/** A learning rate of next to nothing: what a run ends with is what it began with. */
const STILL = 1e-12;

let engine: Engine;
let directory: string;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
});
afterAll(() => engine.close());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-init-'));
});
afterEach(() => rm(directory, { recursive: true }));

interface Run {
  readonly init?: string;
  readonly from?: CheckpointRecord;
  readonly config?: ModelConfig;
  readonly worldSize?: number;
  readonly lr?: number;
  readonly resume?: readonly CheckpointRecord[];
  /** The data directory of each rank. */
  readonly dataDirOf?: (rank: number) => string;
}

/** Trains two steps and returns the checkpoints, the weights of the last and what was said. */
async function run(job: string, options: Run = {}) {
  const { init, from, config = TINY, worldSize = 1, lr = 1e-3, resume = [], dataDirOf = () => directory } = options;
  const store = await openBlobStore(pathToFileURL(directory).href);
  const spec: RunSpecInput = {
    version: 1,
    name: 'test',
    model: { config: config as never, ...(init === undefined ? {} : { init }) },
    data: { train: { type: 'shapes', samples: 200 } },
    batch: { global: 8 },
    duration: { steps: 2 },
    optimizer: { lr, weightDecay: 0 },
    schedule: { warmupSteps: 0 },
    checkpoint: { everySteps: 1, keepLast: 10 },
  };
  const checkpoints: CheckpointRecord[] = [];
  const said: string[] = [];
  const start = {
    jobId: job,
    jobName: job,
    epoch: 1,
    worldSize,
    secret: '',
    spec: parseRunSpec(spec),
    checkpoints: [...resume].sort((a, b) => b.step - a.step),
    ...(from === undefined ? {} : { init: from }),
    storageUrl: store.url,
    cacheDir: directory,
    listenHost: '127.0.0.1',
    advertiseHost: '127.0.0.1',
    threads: 1,
    slot: 0,
  };
  const ranks = await Promise.allSettled(
    referenceGroups(worldSize).map((group) =>
      train(
        {
          engine,
          group,
          store,
          report: () => {},
          recordCheckpoint: async (checkpoint) => {
            checkpoints.push(checkpoint);
            return [];
          },
          log: (level, message) => said.push(`${level}: ${message}`),
        },
        {
          signal: new AbortController().signal,
          start: { ...start, rank: group.rank, dataDir: dataDirOf(group.rank) } satisfies RankStart,
        },
      ),
    ),
  );
  for (const rank of ranks) if (rank.status === 'rejected') throw rank.reason;
  return { checkpoints, said: said.join('\n'), weights: await weightsOf(job, 2) };
}

async function weightsOf(job: string, step: number): Promise<Map<string, Float32Array>> {
  const file = readSafetensors(await readFile(join(directory, 'runs', job, `step-${step}`, 'model.safetensors')));
  return new Map([...file.entries].map(([name, entry]) => [name, tensorFloats(entry, file.data)]));
}

const distance = (a: Float32Array, b: ArrayLike<number>): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

const tokenizerOf = async (job: string): Promise<unknown> =>
  JSON.parse(await readFile(join(directory, 'runs', job, 'step-2', 'tokenizer.json'), 'utf8'));

describe('a run that starts from weights', () => {
  it.each([1, 2])('of a file begins with exactly those, on %i ranks', async (worldSize) => {
    await writeHubDirectory(join(directory, 'hub'), TINY);
    const { weights, said } = await run('a', { init: 'file:hub', worldSize, lr: STILL });
    for (const { name, data } of tensorsOf(TINY)) {
      if (name === 'logit_scale') continue; // clamped to what a scale may be
      expect(distance(weights.get(name)!, data as Float32Array), name).toBeLessThan(1e-6);
    }
    expect(said).toContain('info: Starting from the weights of');
    expect(said).toContain('warn: model.init: there is no tokenizer of ours');
  });

  it('of a checkpoint goes on from it, with its vocabulary, and trains', async () => {
    const first = await run('a');
    const from = first.checkpoints.find(({ step }) => step === 2)!;
    const still = await run('b', { init: 'job:a@2', from, lr: STILL });
    for (const [name, values] of first.weights)
      expect(distance(still.weights.get(name)!, values), name).toBeLessThan(1e-6);
    expect(await tokenizerOf('b')).toEqual(await tokenizerOf('a'));
    expect(still.said).not.toContain('warn');
    const moved = await run('c', { init: 'job:a@2', from });
    expect(distance(moved.weights.get('visual.proj')!, first.weights.get('visual.proj')!)).toBeGreaterThan(1e-5);
  });

  it('takes the vocabulary from beside a file, not from the captions', async () => {
    const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
    const tokenizer = { type: 'word', vocabSize: 96, contextLength: 16, words: ['square', 'red'] };
    await writeFile(join(hub, 'tokenizer.json'), JSON.stringify(tokenizer));
    const { said } = await run('a', { init: 'file:hub' });
    expect(await tokenizerOf('a')).toEqual(tokenizer);
    expect(said).not.toContain('warn');
  });

  it('resumes from its own checkpoint, although what it started from is gone', async () => {
    const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
    await writeFile(
      join(hub, 'tokenizer.json'),
      JSON.stringify({ type: 'word', vocabSize: 96, contextLength: 16, words: ['red'] }),
    );
    const whole = await run('a', { init: 'file:hub' });
    await rm(hub, { recursive: true });
    const resumed = await run('a', { init: 'file:hub', resume: whole.checkpoints.filter(({ step }) => step === 1) });
    for (const [name, values] of whole.weights) expect(resumed.weights.get(name), name).toEqual(values);
  });

  it('fits position embeddings to larger pictures', async () => {
    await writeHubDirectory(join(directory, 'hub'), TINY);
    const config = { ...TINY, vision_cfg: { ...TINY.vision_cfg, image_size: 32 } };
    const { weights, said } = await run('a', { init: 'file:hub', config });
    expect(said).toContain('was resampled from a 2 x 2 to a 4 x 4 grid');
    expect(weights.get('visual.positional_embedding')).toHaveLength(17 * 16);
  });

  it('is refused when ranks read different files', async () => {
    const folders = [join(directory, 'x'), join(directory, 'y')];
    for (const [i, folder] of folders.entries()) {
      const hub = await writeHubDirectory(join(folder, 'hub'), TINY);
      const tensors = tensorsOf(TINY).map((tensor) =>
        tensor.name === 'visual.proj' && i === 1
          ? { ...tensor, data: (tensor.data as Float32Array).map((value) => value + 1) }
          : tensor,
      );
      await writeWeights(join(hub, 'open_clip_model.safetensors'), tensors);
    }
    await expect(
      run('a', { init: 'file:hub', worldSize: 2, dataDirOf: (rank) => folders[rank]! }),
    ).rejects.toMatchObject({ code: 'checkpoint_incompatible', fields: [{ path: 'model.init' }] });
  });

  it('is refused outside of the data directory, and from a checkpoint that is gone', async () => {
    await expect(run('a', { init: 'file:../hub' })).rejects.toMatchObject({ code: 'spec_invalid' });
    await expect(run('a', { init: 'job:gone@3' })).rejects.toMatchObject({
      code: 'not_found',
      fields: [{ path: 'model.init', value: 'job:gone@3' }],
    });
  });
});
