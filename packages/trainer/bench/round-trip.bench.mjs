/**
 * The round trip with the real open_clip at real size:
 *
 *     PYTHON=… npm run bench -- round-trip [--model ViT-B-32-quickgelu] [--samples 4]
 *
 * PYTHON names one with open_clip (scripts/reference/setup.sh). Random weights are made there, imported here, exported,
 * loaded strictly there; then the embeddings of there, of our engine and of the .onnx files are compared. The last
 * line is JSON.
 */
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
  const source = await openWeights(hub, 'source');
  const model = await loadModel(source, { field: 'source', log: (_level, message) => console.log(message) });
  await source.close();
  await mkdir(exported);
  for (const { name, body } of openClipExport(model)) await writeFile(join(exported, name), body);
  const examples = exampleInputs(model, samples);
  await writeExamples(inputs, model, examples);
  there('embed', exported, inputs, outputs);
  const { entries, data } = readSafetensors(readFileSync(outputs));
  const reference = (which) => tensorFloats(entries.get(which), data);
  console.log('loaded strictly by open_clip, from what was imported from it and exported again');

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
  console.log(
    JSON.stringify({
      model: options.model,
      samples,
      parameters: Object.values(model.values).reduce((total, { length }) => total + length, 0),
      versions,
      results,
    }),
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function there(...args) {
  const output = execFileSync(python, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(String(output).trim().split('\n').at(-1));
}

/** The largest cosine distance of two rows, and the largest difference of two numbers. */
function compare(a, b) {
  const width = a.length / samples;
  let [cosineDistance, largest] = [0, 0];
  for (let row = 0; row < samples; row++) {
    let [dot, aa, bb] = [0, 0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      dot += a[i] * b[i];
      aa += a[i] ** 2;
      bb += b[i] ** 2;
      largest = Math.max(largest, Math.abs(a[i] - b[i]));
    }
    cosineDistance = Math.max(cosineDistance, 1 - dot / Math.sqrt(aa * bb));
  }
  return { cosineDistance, largest };
}
