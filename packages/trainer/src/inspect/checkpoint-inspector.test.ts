import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseRunSpec, type RankReport, type RunSpecInput } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS, loadEvaluation, normalizePixels, openDataset } from '@clipyard/data';
import { type Engine, openEngine } from '@clipyard/engine';
import { loadTokenizer } from '@clipyard/model';
import { openBlobStore } from '@clipyard/storage';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { embedOnce } from '../interchange/embed-once.js';
import { loaded, trainAlone } from '../interchange/test-train.js';
import { TINY } from '../interchange/test-weights.js';
import { CheckpointInspector } from './checkpoint-inspector.js';

vi.setConfig({ testTimeout: 120_000 });

const SIGNAL = new AbortController().signal;
const STEPS = 30;
const SAMPLES = 40;
const SPEC: RunSpecInput = {
  version: 1,
  name: 'inspected',
  model: { config: TINY },
  data: {
    train: { type: 'shapes', samples: 400 },
    eval: { type: 'shapes', samples: 200, seed: 1, split: 'all' },
    evalSamples: SAMPLES,
  },
  batch: { global: 32 },
  duration: { steps: STEPS },
  optimizer: { lr: 3e-3 },
  evaluate: { tasks: [{ type: 'retrieval' }] },
};

let engine: Engine;
let directory: string;
let inspector: CheckpointInspector;
const evaluated: Record<string, number> = {};

beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  directory = await mkdtemp(join(tmpdir(), 'clipyard-inspect-'));
  await trainAlone(engine, directory, 'one', SPEC, (report: RankReport) => {
    if (report.type === 'evaluation') Object.assign(evaluated, report.values);
  });
  const prefix = `runs/one/step-${STEPS}`;
  const manifest = await readFile(join(directory, prefix, 'manifest.json'));
  const manifestSha256 = createHash('sha256').update(manifest).digest('hex');
  const store = await openBlobStore(pathToFileURL(directory).href);
  inspector = await CheckpointInspector.open(
    { engine, store, log: () => {} },
    {
      checkpoint: { step: STEPS, prefix, manifestSha256 },
      spec: parseRunSpec(SPEC),
      dataDir: directory,
      cacheDir: directory,
    },
    SIGNAL,
  );
});

afterAll(async () => {
  await inspector?.close();
  await engine?.close();
  await rm(directory, { recursive: true, force: true });
});

/** Embeddings of all samples and of more texts by the plain JavaScript engine, from the files of the checkpoint. */
async function reference(moreTexts: readonly string[] = []) {
  const checkpoint = join(directory, `runs/one/step-${STEPS}`);
  const model = await loaded(checkpoint);
  const tokenizer = loadTokenizer(JSON.parse(await readFile(join(checkpoint, 'tokenizer.json'), 'utf8')));
  const place = { dataDir: directory, cacheDir: directory, imageSize: TINY.vision_cfg.image_size };
  const dataset = await openDataset(parseRunSpec(SPEC).data.eval!, place);
  const { pixels, captions } = await loadEvaluation(dataset, { offset: 0, count: SAMPLES, signal: SIGNAL });
  const length = TINY.text_cfg.context_length;
  const cpu = await openEngine({ engine: 'cpu' });
  try {
    const embed = async (texts: readonly string[]) => {
      const tokens = new Int32Array(SAMPLES * length);
      texts.forEach((text, i) => {
        tokens.set(tokenizer.encode(text), i * length);
      });
      return await embedOnce(cpu, model, {
        samples: SAMPLES,
        images: normalizePixels(pixels, CLIP_PIXEL_STATISTICS),
        tokens,
      });
    };
    const { image, text } = await embed(captions);
    const more = moreTexts.length === 0 ? undefined : (await embed([...moreTexts, ...captions].slice(0, SAMPLES))).text;
    return { pixels, captions, image, text, more };
  } finally {
    await cpu.close();
    await dataset.close();
  }
}

const row = (values: Float32Array, i: number): Float32Array =>
  values.subarray(i * TINY.embed_dim, (i + 1) * TINY.embed_dim);
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

test('the similarities are those of the slow engine, and recall from them is what the evaluation reported', async () => {
  const { image, text, captions } = await reference();
  const { samples, matrix, source, logitScale } = await inspector.similarity(64, SIGNAL);
  expect(source).toBe('data.eval');
  expect(samples).toEqual(captions.map((caption, index) => ({ index, caption })));
  matrix.forEach((similarities, i) => {
    similarities.forEach((similarity, j) => {
      expect(similarity).toBeCloseTo(dot(row(image, i), row(text, j)), 4);
    });
  });
  expect(logitScale).toBeGreaterThan(1);
  // Captions that are the same text are the same caption.
  const recalled = matrix.filter((similarities, i) => {
    const best = similarities.indexOf(Math.max(...similarities));
    return captions[best] === captions[i];
  });
  expect(recalled.length / SAMPLES).toBeCloseTo(evaluated['eval/retrieval/image_to_text/r1']!, 6);
});

test('fewer pictures are different ones from all over the data', async () => {
  const { samples, matrix } = await inspector.similarity(8, SIGNAL);
  const indices = samples.map(({ index }) => index);
  expect(new Set(indices).size).toBe(8);
  expect(Math.min(...indices)).toBeLessThan(SAMPLES / 4);
  expect(Math.max(...indices)).toBeGreaterThanOrEqual((3 * SAMPLES) / 4);
  const whole = await inspector.similarity(SAMPLES, SIGNAL);
  matrix.forEach((similarities, i) => {
    expect(similarities).toEqual(indices.map((index) => expect.closeTo(whole.matrix[indices[i]!]![index]!, 5)));
  });
});

test('a search ranks the pictures as the slow engine does', async () => {
  const query = 'a big red circle';
  const { image, more, captions } = await reference([query]);
  const expected = captions
    .map((caption, index) => ({ index, caption, similarity: dot(row(image, index), row(more!, 0)) }))
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, 5);
  const found = await inspector.search(query, 5, SIGNAL);
  expect(found.map(({ similarity }) => similarity)).toEqual(
    expected.map(({ similarity }) => expect.closeTo(similarity, 4)),
  );
  expect(found[0]).toMatchObject({ index: expected[0]!.index, caption: expected[0]!.caption });
});

test('a picture is that of the data set; one that is not there is refused by name', async () => {
  const { pixels } = await reference();
  const { data, info } = await sharp(await inspector.picture(3, SIGNAL))
    .raw()
    .toBuffer({ resolveWithObject: true });
  const size = info.width * info.height * info.channels;
  expect(new Uint8Array(data)).toEqual(pixels.slice(3 * size, 4 * size));
  await expect(inspector.picture(9999, SIGNAL)).rejects.toMatchObject({
    code: 'not_found',
    fields: [{ path: 'index', value: 9999 }],
  });
});
