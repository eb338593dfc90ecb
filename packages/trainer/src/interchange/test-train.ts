import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RankReport, RunSpecInput } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { openBlobStore } from '@clipyard/storage';
import { readSafetensors, tensorFloats } from '@clipyard/tensor';
import { expectAllClose, referenceGroups } from '@clipyard/testkit';
import { expect } from 'vitest';
import { testRankStart } from '../test-rank-start.js';
import { train } from '../train.js';
import { embedOnce, exampleInputs } from './embed-once.js';
import { type LoadedModel, loadModel } from './export-model.js';
import { writeExamples } from './test-examples.js';
import type { OpenClip } from './test-open-clip.js';
import { TINY } from './test-weights.js';
import { openWeights } from './weights-file.js';

const STEPS = 6;
const SAMPLES = 5;

/** Sections of a run spec. */
type Changes = Readonly<Record<string, object>>;

/** Trains a small model for some steps, its data and runs in `directory`, and returns where the last checkpoint lies. */
export async function trainTiny(engine: Engine, directory: string, job: string, changes: Changes = {}) {
  await trainAlone(engine, directory, job, {
    version: 1,
    name: 'test',
    data: { train: { type: 'shapes', samples: 200 } },
    batch: { global: 16 },
    duration: { steps: STEPS },
    ...changes,
    model: { config: TINY, ...changes.model },
    optimizer: { lr: 1e-3, ...changes.optimizer },
  });
  return join(directory, 'runs', job, `step-${STEPS}`);
}

/** Trains as one rank, its data and runs in `directory`. */
export async function trainAlone(
  engine: Engine,
  directory: string,
  job: string,
  spec: RunSpecInput,
  report: (report: RankReport) => void = () => {},
): Promise<void> {
  const store = await openBlobStore(pathToFileURL(directory).href);
  const start = testRankStart({ job, spec, directory, storageUrl: store.url });
  const [group] = referenceGroups(1);
  const deps = { engine, group: group!, store, report, recordCheckpoint: async () => [], log: () => {} };
  await train(deps, { signal: new AbortController().signal, start });
}

/** Reads a model; `average`: the moving average of its weights. */
export async function loaded(path: string, { average = false, config }: LoadedOptions = {}): Promise<LoadedModel> {
  const source = await openWeights(path, 'source', { average });
  try {
    return await loadModel(source, { field: 'source', log: () => {}, ...(config === undefined ? {} : { config }) });
  } finally {
    await source.close();
  }
}

interface LoadedOptions {
  readonly average?: boolean;
  /** Instead of the one beside the weights. */
  readonly config?: ModelConfig;
}

/** open_clip loads the directory strictly and embeds as we do. */
export async function expectSameEmbeddings(
  { there, engine, directory }: { there: OpenClip; engine: Engine; directory: string },
  path: string,
  model: LoadedModel,
): Promise<void> {
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
