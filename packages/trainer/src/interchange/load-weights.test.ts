import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClipyardError } from '@clipyard/contracts';
import { type ModelConfig, parameterLayout, parameterSpecs } from '@clipyard/model';
import { fromBfloat16, fromFloat16, type SafetensorsTensor } from '@clipyard/tensor';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadWeights } from './load-weights.js';
import { narrowed, TINY, tensorsOf, writeHubDirectory, writeWeights } from './test-weights.js';
import { openWeights } from './weights-file.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-weights-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Loads a path into a model of `config`, and returns the parameters by name and what was said. */
async function load(path: string, config: ModelConfig = TINY) {
  const parameters = parameterSpecs(config);
  const layout = parameterLayout(parameters);
  const buffer = new Float32Array(layout.total);
  const said: string[] = [];
  const source = await openWeights(path, 'model.init');
  try {
    const log = (level: string, message: string): void => void said.push(`${level}: ${message}`);
    await loadWeights(source, {
      config,
      parameters,
      viewOf: (name) => layout.view(buffer, name),
      field: 'model.init',
      log,
    });
  } finally {
    await source.close();
  }
  return { values: layout.views(buffer), said: said.join('\n') };
}

const refusal = (path: string, config?: ModelConfig): Promise<ClipyardError> =>
  load(path, config).then(
    () => expect.unreachable('it was taken'),
    (error: ClipyardError) => error,
  );

const changed = (change: (tensors: SafetensorsTensor[]) => SafetensorsTensor[]): Promise<string> =>
  writeWeights(join(directory, 'changed.safetensors'), change(tensorsOf(TINY)));

describe('loading weights', () => {
  it('takes a file, and a directory as the hub has it, with every value as it is', async () => {
    const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
    for (const path of [hub, join(hub, 'open_clip_model.safetensors')]) {
      const { values, said } = await load(path);
      for (const { name, data } of tensorsOf(TINY)) expect(values[name], name).toEqual(data);
      expect(said).toBe('');
    }
  });

  it.each([
    ['F16', fromFloat16],
    ['BF16', fromBfloat16],
  ] as const)('widens %s exactly', async (dtype, widen) => {
    const path = await changed((tensors) => tensors.map((tensor) => narrowed(tensor, dtype)));
    const { values } = await load(path);
    for (const tensor of tensorsOf(TINY))
      expect(values[tensor.name]).toEqual(Float32Array.from(narrowed(tensor, dtype).data as Uint16Array, widen));
  });

  it('takes the names of parallel training, of a separate text tower, and what is no parameter', async () => {
    const renamed = (name: string): string => {
      const visual = name.startsWith('visual.') || name === 'logit_scale';
      return visual ? `module.${name}` : `module.text.${name}`;
    };
    const path = await changed((tensors) => [
      ...tensors.map((tensor) => ({
        ...tensor,
        name: renamed(tensor.name),
        shape: tensor.name === 'logit_scale' ? [1] : tensor.shape,
      })),
      { name: 'module.text.attn_mask', dtype: 'F32', shape: [2], data: new Float32Array(2) },
      { name: 'module.visual.bn1.num_batches_tracked', dtype: 'I64', shape: [], data: new BigInt64Array(1) },
    ]);
    const { values } = await load(path);
    for (const { name, data } of tensorsOf(TINY)) expect(values[name], name).toEqual(data);
  });

  it('names each parameter that is missing, of another shape, or not of the model', async () => {
    const path = await changed((tensors) => [
      ...tensors.filter(({ name }) => name !== 'ln_final.bias'),
      { name: 'visual.extra', dtype: 'F32', shape: [3], data: new Float32Array(3) },
    ]);
    const error = await refusal(path, { ...TINY, text_cfg: { ...TINY.text_cfg, vocab_size: 128 } });
    expect(error.code).toBe('checkpoint_incompatible');
    expect(error.message).toContain('`ln_final.bias` [16] is missing');
    expect(error.message).toContain("`token_embedding.weight` has the shape [96,16], the model's has [128,16]");
    expect(error.message).toContain('`visual.extra` is not a parameter of the model');
    expect(error.fields).toHaveLength(3);
    expect(error.fields[0]).toMatchObject({ path: 'model.init', remedy: expect.stringContaining('model_cfg') });
  });

  it('resamples position embeddings and says so', async () => {
    const hub = await writeHubDirectory(join(directory, 'hub'), TINY);
    const { values, said } = await load(hub, {
      ...TINY,
      vision_cfg: { ...TINY.vision_cfg, image_size: 32 },
      text_cfg: { ...TINY.text_cfg, context_length: 20 },
    });
    expect(said).toContain('`visual.positional_embedding` was resampled from a 2 x 2 to a 4 x 4 grid');
    expect(said).toContain('`positional_embedding` was resampled from 16 to 20 positions');
    expect(values['visual.positional_embedding']).toHaveLength(17 * 16);
    expect(said).not.toContain('warn');
  });

  it.each([
    [false, true, 'set quick_gelu: false'],
    [true, false, 'set quick_gelu: true'],
    [undefined, true, 'set quick_gelu: false'],
  ])('warns when the weights were made with quick_gelu %s and the model has %s', async (theirs, ours, remedy) => {
    const hub = await writeHubDirectory(join(directory, 'hub'), TINY, { ...TINY, quick_gelu: theirs });
    const { said } = await load(hub, { ...TINY, quick_gelu: ours });
    expect(said).toMatch(/^warn: model\.init: The weights were made with/);
    expect(said).toContain(remedy);
  });

  it("warns of OpenAI's weights in a model with GELU, and says where nothing is known", async () => {
    const config = { ...TINY, quick_gelu: false };
    const openAi = await writeWeights(join(directory, 'vit.openai.safetensors'), tensorsOf(TINY));
    expect((await load(openAi, config)).said).toMatch(/^warn: .*OpenAI's, which need quick_gelu: true/);
    expect((await load(openAi)).said).toBe('');
    const jit = await changed((tensors) => [
      ...tensors,
      { name: 'input_resolution', dtype: 'I64', shape: [], data: new BigInt64Array(1) },
    ]);
    expect((await load(jit, config)).said).toMatch(/^warn: .*OpenAI's/);
    const unknown = await changed((tensors) => tensors);
    expect((await load(unknown, config)).said).toMatch(/^info: .*do not say whether/);
  });

  it('warns of heads that shapes do not tell', async () => {
    const theirs = { ...TINY, text_cfg: { ...TINY.text_cfg, heads: 4 } };
    const { said } = await load(await writeHubDirectory(join(directory, 'hub'), TINY, theirs));
    expect(said).toContain("text_cfg.heads is 4 in the config of the weights, 2 in the model's");
  });

  it("refuses PyTorch's pickles with what to do, by name or by content", async () => {
    const zip = Buffer.from('PK\x03\x04 a zip archive', 'latin1');
    const bare = Buffer.concat([Buffer.from([0x80, 2]), Buffer.from('a pickle of old')]);
    await writeFile(join(directory, 'pytorch_model.bin'), zip);
    await writeFile(join(directory, 'model.safetensors.old'), bare);
    for (const path of ['', 'pytorch_model.bin', 'model.safetensors.old']) {
      const error = await refusal(join(directory, path));
      expect(error).toMatchObject({ code: 'weights_format_unsupported', fields: [{ path: 'model.init' }] });
      expect(error.message).toContain('pickle_to_safetensors.py');
    }
  });

  it('names what is not there, or cannot be chosen between, or is damaged', async () => {
    expect(await refusal(join(directory, 'none'))).toMatchObject({ code: 'data_not_found' });
    expect((await refusal(directory)).message).toContain('holds no .safetensors file');
    await changed((tensors) => tensors);
    await writeWeights(join(directory, 'other.safetensors'), tensorsOf(TINY));
    expect((await refusal(directory)).message).toContain('changed.safetensors, other.safetensors');
    await writeFile(join(directory, 'cut.safetensors'), Buffer.from('cut'));
    expect(await refusal(join(directory, 'cut.safetensors'))).toMatchObject({ code: 'checkpoint_damaged' });
  });
});
