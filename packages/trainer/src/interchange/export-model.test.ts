import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Engine, openEngine, runOnnx } from '@clipyard/engine';
import { counterNames, type ModelConfig, parseModelConfig } from '@clipyard/model';
import { readSafetensors, type SafetensorsTensor, tensorValues } from '@clipyard/tensor';
import { expectAllClose } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { embedOnce, exampleInputs } from './embed-once.js';
import { onnxExport, openClipExport } from './export-model.js';
import { importedCheckpoint, manifestFile } from './import-model.js';
import { channelsFirst } from './test-examples.js';
import { loaded } from './test-train.js';
import { TINY, tensorsOf, writeFiles, writeHubDirectory, writeWeights } from './test-weights.js';
import { openWeights } from './weights-file.js';

let engine: Engine;
let directory: string;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
});
afterAll(() => engine.close());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-export-'));
});
afterEach(() => rm(directory, { recursive: true }));

const contents = (path: string, name: string): Promise<string> => readFile(join(path, name), 'utf8');

it.each([
  ['QuickGELU', TINY],
  ['GELU', { ...TINY, quick_gelu: false }],
])('.onnx files with %s embed as the engine does, for any batch', async (_, config) => {
  const model = await loaded(await writeHubDirectory(join(directory, 'hub'), config));
  const files = new Map([...onnxExport(model, 'open')].map(({ name, body }) => [name, body as Uint8Array]));
  for (const samples of [1, 6]) {
    const examples = exampleInputs(model, samples);
    const ours = await embedOnce(engine, model, examples);
    const size = config.vision_cfg.image_size;
    const { image_embeds: image } = await runOnnx(files.get('visual.onnx')!, {
      pixel_values: { shape: [samples, 3, size, size], values: channelsFirst(examples, size) },
    });
    const { text_embeds: text } = await runOnnx(files.get('textual.onnx')!, {
      input_ids: { shape: [samples, config.text_cfg.context_length], values: examples.tokens },
    });
    expectAllClose(image!, ours.image, { atol: 1e-5, rtol: 1e-4 });
    expectAllClose(text!, ours.text, { atol: 1e-5, rtol: 1e-4 });
  }
  expect(String(files.get('README.md'))).toContain('`input_ids` int64 [n, 16]');
});

it('MLP projections go into .onnx files, and not to open_clip, which has none', async () => {
  const config: ModelConfig = { ...TINY, projection: { type: 'mlp', hidden: 12 } };
  const model = await loaded(await writeHubDirectory(join(directory, 'hub'), config));
  expect(() => [...openClipExport(model)]).toThrow(
    expect.objectContaining({
      code: 'model_config_invalid',
      fields: [expect.objectContaining({ path: 'projection' })],
    }),
  );
  const examples = exampleInputs(model, 2);
  const [visual] = [...onnxExport(model, 2)];
  const { image_embeds: image } = await runOnnx(visual!.body as Uint8Array, {
    pixel_values: { shape: [2, 3, 16, 16], values: channelsFirst(examples, 16) },
  });
  expectAllClose(image!, (await embedOnce(engine, model, examples)).image, { atol: 1e-5, rtol: 1e-4 });
});

it('reads a caption up to its first end of text, as the engine does', async () => {
  const model = await loaded(await writeHubDirectory(join(directory, 'hub'), TINY));
  const examples = exampleInputs(model, 2);
  // End of text again after the end: what follows the first must not matter.
  examples.tokens.fill(95, 8, 16);
  const ours = await embedOnce(engine, model, examples);
  const [, textual] = [...onnxExport(model, 2)];
  const { text_embeds: text } = await runOnnx(textual!.body as Uint8Array, {
    input_ids: { shape: [2, 16], values: examples.tokens },
  });
  expectAllClose(text!, ours.text, { atol: 1e-5, rtol: 1e-4 });
});

it('an export of an import has every tensor, config and vocabulary that came in', async () => {
  const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
  const words = { type: 'word', vocabSize: 96, contextLength: 16, words: ['red'] };
  await writeFile(join(hub, 'tokenizer.json'), JSON.stringify(words));
  const imported = join(directory, 'imported');
  const files = await writeFiles(imported, importedCheckpoint(await loaded(hub)));
  await writeFiles(imported, [manifestFile(files)]);
  expect(files.map(({ name }) => name)).toEqual([
    'model.safetensors',
    'open_clip_config.json',
    'tokenizer.json',
    'state.json',
  ]);
  const exported = join(directory, 'exported');
  await writeFiles(exported, openClipExport(await loaded(imported)));
  const again = await loaded(exported);
  for (const { name, data } of tensorsOf(TINY)) expect(again.values[name], name).toEqual(data);
  expect(again.config).toEqual(TINY);
  expect(again.source.tokenizer).toEqual(words);
  expect(JSON.parse(await contents(exported, 'open_clip_config.json'))).toMatchObject({ model_cfg: TINY });
  expect(await contents(exported, 'README.md')).toContain("**not open_clip's tokenizer**");
});

it('an export of a ResNet says how often its running statistics have moved, as far as that is known', async () => {
  const config = parseModelConfig({ ...TINY, vision_cfg: { image_size: 32, layers: [1, 1, 1, 1], width: 4 } });
  const counters = counterNames(config);
  const counted = counters.map(
    (name) => ({ name, shape: [], dtype: 'I64', data: BigInt64Array.of(1234n) }) satisfies SafetensorsTensor,
  );
  const hub = await writeHubDirectory(join(directory, 'hub'), config);
  for (const [more, expected] of [
    [[], 0n],
    [counted, 1234n],
  ] as const) {
    await writeWeights(join(hub, 'open_clip_model.safetensors'), [...tensorsOf(config), ...more]);
    const model = await loaded(hub);
    for (const [files, name] of [
      [openClipExport(model), 'open_clip_model.safetensors'],
      [importedCheckpoint(model), 'model.safetensors'],
    ] as const) {
      await writeFiles(join(directory, 'out'), files);
      const { entries, data } = readSafetensors(await readFile(join(directory, 'out', name)));
      for (const counter of counters) expect(tensorValues(entries.get(counter)!, data)[0], counter).toBe(expected);
    }
  }
});

it('of a model with byte pairs of its own has them as open_clip reads them', async () => {
  const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
  const merges = ['r e', 're d</w>'];
  await writeFile(
    join(hub, 'tokenizer.json'),
    JSON.stringify({ type: 'bpe', vocabSize: 516, contextLength: 16, merges }),
  );
  const files = new Map([...openClipExport(await loaded(hub))].map(({ name, body }) => [name, body]));
  expect(gunzipSync(files.get('merges.txt.gz') as Uint8Array).toString()).toBe(['#version: 0.2', ...merges].join('\n'));
  expect(String(files.get('README.md'))).toContain('SimpleTokenizer("DIR/merges.txt.gz", context_length=16)');
});

it('refuses a checkpoint whose weights are not those of its manifest', async () => {
  const imported = join(directory, 'imported');
  const files = await writeFiles(
    imported,
    importedCheckpoint(await loaded(await writeHubDirectory(join(directory, 'hub'), TINY))),
  );
  await writeFiles(imported, [manifestFile(files)]);
  const path = join(imported, 'model.safetensors');
  const bytes = await readFile(path);
  bytes[bytes.length - 3]! ^= 1;
  await writeFile(path, bytes);
  await expect(loaded(imported)).rejects.toMatchObject({ code: 'checkpoint_damaged' });
});

it("takes a checkpoint's average of the weights when asked for it", async () => {
  const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
  const open = (path: string) => openWeights(path, 'source', { average: true });
  await expect(open(hub)).rejects.toMatchObject({ code: 'data_not_found', fields: [{ path: 'source' }] });
  const halved = tensorsOf(TINY).map((tensor) => ({
    ...tensor,
    data: (tensor.data as Float32Array).map((value) => value / 2),
  }));
  await writeWeights(join(hub, 'model_ema.safetensors'), halved);
  const source = await open(hub);
  expect(await source.floats('visual.proj')).toEqual(halved.find(({ name }) => name === 'visual.proj')!.data);
  await source.close();
});

it('needs a config, from beside the weights or given', async () => {
  const path = await writeWeights(join(directory, 'bare.safetensors'), tensorsOf(TINY));
  await expect(loaded(path)).rejects.toMatchObject({ code: 'model_config_invalid', fields: [{ path: 'source' }] });
  expect((await loaded(path, { config: TINY })).config).toEqual(TINY);
});
