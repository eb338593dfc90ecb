import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseRunSpec, type RankStart } from '@clipyard/contracts';
import { type Engine, openEngine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { openBlobStore } from '@clipyard/storage';
import { readSafetensors, tensorFloats } from '@clipyard/tensor';
import { expectAllClose, referenceGroups } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext, vi } from 'vitest';
import { train } from '../train.js';
import { embedOnce, exampleInputs } from './embed-once.js';
import { type LoadedModel, loadModel, openClipExport } from './export-model.js';
import { writeExamples } from './test-examples.js';
import { OpenClip } from './test-open-clip.js';
import { TINY, writeFiles } from './test-weights.js';
import { openWeights } from './weights-file.js';

/** The real open_clip, where a Python that has it is named: see scripts/reference/setup.sh. */
const PYTHON = process.env.PYTHON;
const SAMPLES = 5;

// Python alone takes half a minute to load PyTorch where the disk or the cores are busy.
vi.setConfig({ testTimeout: 180_000 });
let engine: Engine;
let openClip: OpenClip | undefined;
let directory: string;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  if (PYTHON !== undefined) openClip = new OpenClip(PYTHON);
});
afterAll(async () => {
  openClip?.close();
  await engine.close();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-round-trip-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Skips, saying what is missed, unless there is a Python. */
function python({ skip }: TestContext): OpenClip {
  if (openClip === undefined)
    skip('PYTHON names no Python with open_clip (scripts/reference/setup.sh): not compared with the real open_clip');
  return openClip!;
}

/** Largest cosine distance of the rows of two lists of embeddings. */
function distance(a: Float32Array, b: Float32Array, width: number): number {
  expect(a).toHaveLength(b.length);
  let most = 0;
  for (let row = 0; row < a.length; row += width) {
    let [dot, aa, bb] = [0, 0, 0];
    for (let i = row; i < row + width; i++) {
      dot += a[i]! * b[i]!;
      aa += a[i]! ** 2;
      bb += b[i]! ** 2;
    }
    most = Math.max(most, 1 - dot / Math.sqrt(aa * bb));
  }
  return most;
}

async function loaded(path: string): Promise<LoadedModel> {
  const source = await openWeights(path, 'source');
  try {
    return await loadModel(source, { field: 'source', log: () => {} });
  } finally {
    await source.close();
  }
}

/** open_clip loads the directory strictly and embeds as we do. */
async function expectSameEmbeddings(there: OpenClip, path: string, model: LoadedModel): Promise<void> {
  const examples = exampleInputs(model, SAMPLES);
  const [inputs, outputs] = [join(directory, 'inputs.safetensors'), join(directory, 'outputs.safetensors')];
  await writeExamples(inputs, model, examples);
  await there.run('embed', path, inputs, outputs);
  const { entries, data } = readSafetensors(await readFile(outputs));
  const ours = await embedOnce(engine, model, examples);
  for (const which of ['image', 'text'] as const) {
    const theirs = tensorFloats(entries.get(which)!, data);
    expect(distance(ours[which], theirs, model.config.embed_dim), which).toBeLessThan(1e-6);
    expectAllClose(ours[which], theirs, { atol: 1e-5, rtol: 1e-4 });
  }
}

/** Trains some steps and returns the directory of the last checkpoint. */
async function trained(job: string, init?: string, config: object = TINY): Promise<string> {
  const store = await openBlobStore(pathToFileURL(directory).href);
  const start: RankStart = {
    jobId: job,
    jobName: job,
    epoch: 1,
    rank: 0,
    worldSize: 1,
    secret: '',
    spec: parseRunSpec({
      version: 1,
      name: 'test',
      model: { config, ...(init === undefined ? {} : { init }) },
      data: { train: { type: 'shapes', samples: 200 } },
      batch: { global: 16 },
      duration: { steps: 6 },
      optimizer: { lr: 1e-3 },
      schedule: { warmupSteps: 0 },
    }),
    checkpoints: [],
    storageUrl: store.url,
    dataDir: directory,
    cacheDir: directory,
    listenHost: '127.0.0.1',
    advertiseHost: '127.0.0.1',
    threads: 1,
    slot: 0,
  };
  const [group] = referenceGroups(1);
  const deps = { engine, group: group!, store, report: () => {}, recordCheckpoint: async () => [], log: () => {} };
  await train(deps, { signal: new AbortController().signal, start });
  return join(directory, 'runs', job, 'step-6');
}

describe('with the real open_clip', () => {
  it('a model trained here is loaded there strictly, and embeds the same', async (context) => {
    const there = python(context);
    const model = await loaded(await trained('a'));
    const out = join(directory, 'exported');
    await writeFiles(out, openClipExport(model));
    await expectSameEmbeddings(there, out, model);
  });

  it.for<[string, ModelConfig, string[]]>([
    ['QuickGELU', TINY, []],
    ['GELU', { ...TINY, quick_gelu: false }, []],
    ['half precision', TINY, ['--half']],
  ])('a model from there (%s) embeds the same here, trains on, and goes back', async ([, config, flags], context) => {
    const there = python(context);
    const hub = join(directory, 'hub');
    await there.run('make', hub, JSON.stringify(config), ...flags);
    const model = await loaded(hub);
    await expectSameEmbeddings(there, hub, model);
    const tuned = await loaded(await trained('b', 'file:hub', config));
    expect(tuned.values['visual.proj']).not.toEqual(model.values['visual.proj']);
    const out = join(directory, 'exported');
    await writeFiles(out, openClipExport(tuned));
    await expectSameEmbeddings(there, out, tuned);
  });

  it('position embeddings are resampled as there', async (context) => {
    const there = python(context);
    const hub = join(directory, 'hub');
    await there.run('make', hub, JSON.stringify(TINY));
    const config = {
      ...TINY,
      vision_cfg: { ...TINY.vision_cfg, image_size: 56 },
      text_cfg: { ...TINY.text_cfg, context_length: 11 },
    };
    const out = join(directory, 'resized.safetensors');
    await there.run('resize', hub, JSON.stringify(config), out);
    const { entries, data } = readSafetensors(await readFile(out));
    const source = await openWeights(hub, 'source');
    const { values } = await loadModel(source, { field: 'source', log: () => {}, config });
    await source.close();
    for (const name of ['visual.positional_embedding', 'positional_embedding'])
      expectAllClose(values[name]!, tensorFloats(entries.get(name)!, data), { atol: 1e-6, rtol: 1e-5 });
  });
});
