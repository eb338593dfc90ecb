/**
 * The round trip with the real open_clip at real size:
 *
 *     PYTHON=… npm run bench -- round-trip [--model ViT-B-32-quickgelu | RN50 | …] [--samples 4]
 *
 * PYTHON names one with open_clip (scripts/reference/setup.sh). Random weights are made there (a ResNet's with running
 * statistics that have moved), imported here, exported, loaded strictly there; then the embeddings of there, of our engine
 * and of the .onnx files are compared. Back again, the export is imported as a checkpoint, whose values are those of the
 * beginning bit by bit. The last line is JSON.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openEngine, runOnnx } from '@clipyard/engine';
import { resolveModelConfig } from '@clipyard/model';
import { readSafetensors, tensorFloats } from '@clipyard/tensor';
import { embedOnce, exampleInputs } from '../dist/interchange/embed-once.js';
import { loadModel, onnxExport, openClipExport } from '../dist/interchange/export-model.js';
import { importedCheckpoint } from '../dist/interchange/import-model.js';
import { channelsFirst, writeExamples } from '../dist/interchange/test-examples.js';
import { openWeights } from '../dist/interchange/weights-file.js';

const SCRIPT = fileURLToPath(new URL('../../../scripts/reference/open_clip_round_trip.py', import.meta.url));
const { values: options } = parseArgs({
  options: { model: { type: 'string', default: 'ViT-B-32-quickgelu' }, samples: { type: 'string', default: '4' } },
});
const samples = Number(options.samples);
const python = process.env.PYTHON;
if (python === undefined) {
  console.error('PYTHON is not set: it names a Python with open_clip (scripts/reference/setup.sh makes one)');
  process.exit(2);
}

const directory = mkdtempSync(join(tmpdir(), 'clipyard-round-trip-'));
try {
  const config = resolveModelConfig({ preset: options.model });
  const size = config.vision_cfg.image_size;
  const [hub, exported] = [join(directory, 'hub'), join(directory, 'exported')];
  const [inputs, outputs] = [join(directory, 'inputs.safetensors'), join(directory, 'outputs.safetensors')];
  const versions = there('make', hub, JSON.stringify(config));
  const model = await load(hub);
  await mkdir(exported);
  for (const { name, body } of openClipExport(model)) await writeFile(join(exported, name), body);
  const examples = exampleInputs(model, samples);
  await writeExamples(inputs, model, examples);
  there('embed', exported, inputs, outputs);
  const { entries, data } = readSafetensors(readFileSync(outputs));
  const reference = (which) => tensorFloats(entries.get(which), data);
  console.log('loaded strictly by open_clip, from what was imported from it and exported again');
  const back = join(directory, 'back');
  await mkdir(back);
  for (const { name, body } of importedCheckpoint(await load(exported))) await writeFile(join(back, name), body);
  const again = await load(back);
  for (const [name, values] of Object.entries(model.values)) assert.deepEqual(again.values[name], values, name);
  console.log('imported again, with every value bitwise as it was');

  const engine = await openEngine({ engine: 'onnxruntime', threads: 2 });
  const ours = await embedOnce(engine, model, examples);
  await engine.close();
  const results = {};
  for (const which of ['image', 'text']) results[`${which}, engine`] = compare(ours[which], reference(which));
  for (const { name, body } of onnxExport(model, 'open')) {
    if (name === 'visual.onnx') {
      const shape = [samples, 3, size, size];
      const { image_embeds: image } = await runOnnx(body, {
        pixel_values: { shape, values: channelsFirst(examples, size) },
      });
      results['image, visual.onnx'] = compare(image, reference('image'));
    } else if (name === 'textual.onnx') {
      const shape = [samples, config.text_cfg.context_length];
      const { text_embeds: text } = await runOnnx(body, { input_ids: { shape, values: examples.tokens } });
      results['text, textual.onnx'] = compare(text, reference('text'));
    }
  }
  for (const [what, { cosineDistance, largest }] of Object.entries(results))
    console.log(
      `${what.padEnd(20)} cosine distance ${cosineDistance.toExponential(1)}, largest difference ${largest.toExponential(1)}`,
    );
  const apart = { image: nearest(reference('image')), text: nearest(reference('text')) };
  console.log(
    `for comparison, the least cosine distance of two samples: image ${apart.image.toExponential(1)}, text ${apart.text.toExponential(1)}`,
  );
  console.log(
    JSON.stringify({
      model: options.model,
      samples,
      apart,
      parameters: Object.values(model.values).reduce((total, { length }) => total + length, 0),
      versions,
      results,
    }),
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function load(path) {
  const source = await openWeights(path, 'source');
  try {
    return await loadModel(source, { field: 'source', log: (_level, message) => console.log(message) });
  } finally {
    await source.close();
  }
}

function there(...args) {
  const output = execFileSync(python, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(String(output).trim().split('\n').at(-1));
}

/** The largest cosine distance of two rows, and the largest difference of two numbers. */
function compare(a, b) {
  const width = a.length / samples;
  let cosineDistance = 0;
  for (let row = 0; row < samples; row++)
    cosineDistance = Math.max(cosineDistance, distance(rowOf(a, row, width), rowOf(b, row, width)));
  const largest = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
  return { cosineDistance, largest };
}

/** The least cosine distance of two rows: differences must be far below it to say anything. */
function nearest(rows) {
  const width = rows.length / samples;
  let least = 2;
  for (let row = 1; row < samples; row++)
    for (let other = 0; other < row; other++)
      least = Math.min(least, distance(rowOf(rows, row, width), rowOf(rows, other, width)));
  return least;
}

function rowOf(rows, row, width) {
  return rows.subarray(row * width, (row + 1) * width);
}

function distance(a, b) {
  let [dot, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    dot += value * b[i];
    aa += value ** 2;
    bb += b[i] ** 2;
  });
  return 1 - dot / Math.sqrt(aa * bb);
}
