import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, openEngine, runOnnx } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { expectAllClose, expectBitwise } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { embedOnce, exampleInputs } from './embed-once.js';
import { type LoadedModel, onnxExport, openClipExport } from './export-model.js';
import { importedCheckpoint, manifestFile } from './import-model.js';
import { channelsFirst } from './test-examples.js';
import { OpenClip } from './test-open-clip.js';
import { expectSameEmbeddings, loaded, trainTiny } from './test-train.js';
import { TINY, writeFiles } from './test-weights.js';

/** The real open_clip, where a Python that has it is named: see scripts/reference/setup.sh. */
const PYTHON = process.env.PYTHON;

interface Switch {
  readonly name: string;
  readonly spec?: Readonly<Record<string, object>>;
  /** The field that open_clip has not; undefined: it loads the model. */
  readonly refused?: string;
  /** Whether the average of the weights is exported. */
  readonly average?: boolean;
}

const { vision_cfg: vision, text_cfg: text } = TINY;
const RESNET = {
  ...TINY,
  vision_cfg: { image_size: 64, layers: [1, 1, 1, 1], width: 8, head_width: 32 },
} satisfies ModelConfig;
const model = (config: object): Switch['spec'] => ({ model: { config: { ...TINY, ...config } } });
const pooler = { attentional_pool: true, attn_pooler_queries: 4, attn_pooler_heads: 2 };

/** Every switch of a run spec, and of a model's config, that has to do with the parameters. */
const SWITCHES: readonly Switch[] = [
  { name: 'none' },
  { name: 'GELU', spec: model({ quick_gelu: false }) },
  { name: 'custom_text', spec: model({ custom_text: true }) },
  { name: 'projection mlp', spec: { model: { projection: { type: 'mlp', hidden: 12 } } }, refused: 'projection' },
  {
    name: 'projection mlp of the config',
    spec: model({ projection: { type: 'mlp', hidden: 12 } }),
    refused: 'projection',
  },
  { name: 'patchDropout', spec: { model: { patchDropout: 0.5 } } },
  { name: 'patch_dropout of the config', spec: model({ vision_cfg: { ...vision, patch_dropout: 0.5 } }) },
  { name: 'lock', spec: { model: { lock: { image: true, imageUnlockedGroups: 1 } } } },
  { name: 'loss siglip', spec: { loss: { type: 'siglip', initLogitBias: -3 } } },
  { name: 'init_logit_bias', spec: model({ init_logit_bias: -2 }) },
  { name: 'emaDecay, the weights', spec: { optimizer: { emaDecay: 0.9 } } },
  { name: 'emaDecay, the average', spec: { optimizer: { emaDecay: 0.9 } }, average: true },
  { name: 'textWeights bf16', spec: { precision: { textWeights: 'bf16' } } },
  { name: 'textWeights fp16', spec: { precision: { textWeights: 'fp16' } } },
  {
    name: 'textWeights bf16, the average',
    spec: { precision: { textWeights: 'bf16' }, optimizer: { emaDecay: 0.9 } },
    average: true,
  },
  { name: 'compute bf16', spec: { precision: { compute: 'bf16' } } },
  { name: 'momentDtype fp16', spec: { optimizer: { momentDtype: 'fp16' } } },
  { name: 'layerDecay', spec: { optimizer: { layerDecay: 0.5 } } },
  { name: 'checkpointBlocks', spec: { memory: { checkpointBlocks: true } } },
  { name: 'ResNet', spec: { model: { config: RESNET } } },
  { name: 'ResNet, custom_text', spec: { model: { config: { ...RESNET, custom_text: true } } } },
  { name: 'ResNet, locked', spec: { model: { config: RESNET, lock: { image: true } } } },
  {
    name: 'ResNet, the average',
    spec: { model: { config: RESNET }, optimizer: { emaDecay: 0.9 } },
    average: true,
  },
  {
    name: 'ResNet, projection mlp',
    spec: { model: { config: RESNET, projection: { type: 'mlp', hidden: 12 } } },
    refused: 'projection',
  },
  { name: 'no_ln_pre', spec: model({ vision_cfg: { ...vision, no_ln_pre: true } }) },
  { name: 'pool_type avg', spec: model({ vision_cfg: { ...vision, pool_type: 'avg' } }) },
  {
    name: 'final_ln_after_pool',
    spec: model({ vision_cfg: { ...vision, pool_type: 'avg', final_ln_after_pool: true } }),
  },
  { name: 'attentional_pool', spec: model({ vision_cfg: { ...vision, ...pooler } }) },
  { name: 'attentional_pool of another width', spec: model({ embed_dim: 24, vision_cfg: { ...vision, ...pooler } }) },
  {
    name: 'norm_kwargs',
    spec: model({
      vision_cfg: { ...vision, norm_kwargs: { eps: 1e-3 } },
      text_cfg: { ...text, norm_kwargs: { eps: 1e-3 } },
    }),
  },
  { name: 'no_causal_mask', spec: model({ text_cfg: { ...text, no_causal_mask: true } }) },
  { name: 'pool_type first', spec: model({ text_cfg: { ...text, no_causal_mask: true, pool_type: 'first' } }) },
  { name: 'pool_type last', spec: model({ text_cfg: { ...text, pool_type: 'last' } }) },
  { name: 'pool_type eos', spec: model({ text_cfg: { ...text, pool_type: 'eos', eos_id: 95 } }) },
  { name: 'proj_bias', spec: model({ text_cfg: { ...text, proj_bias: true } }) },
  { name: 'proj_type none', spec: model({ text_cfg: { ...text, proj_type: 'none' } }) },
  {
    name: 'custom_text with all of the text tower',
    spec: model({ custom_text: true, text_cfg: { ...text, no_causal_mask: true, pool_type: 'last', proj_bias: true } }),
  },
];

// Python alone takes half a minute to load PyTorch where the disk or the cores are busy.
vi.setConfig({ testTimeout: 180_000 });
let engine: Engine;
let openClip: OpenClip | undefined;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  if (PYTHON !== undefined) openClip = new OpenClip(PYTHON);
});
afterAll(async () => {
  openClip?.close();
  await engine.close();
});

describe.each(SWITCHES)('a model trained with $name', ({ spec, refused, average = false }) => {
  let directory: string;
  let trained: LoadedModel;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'clipyard-export-switches-'));
    trained = await loaded(await trainTiny(engine, directory, 'a', spec), { average });
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('gives .onnx files that embed as the engine does', async () => {
    const examples = exampleInputs(trained, 3);
    const { image_size: size } = trained.config.vision_cfg;
    const ours = await embedOnce(engine, trained, examples);
    const files = new Map([...onnxExport(trained, 'open')].map(({ name, body }) => [name, body as Uint8Array]));
    const { image_embeds: image } = await runOnnx(files.get('visual.onnx')!, {
      pixel_values: { shape: [3, 3, size, size], values: channelsFirst(examples, size) },
    });
    const { text_embeds: text } = await runOnnx(files.get('textual.onnx')!, {
      input_ids: { shape: [3, trained.config.text_cfg.context_length], values: examples.tokens },
    });
    expectAllClose(image!, ours.image, { atol: 1e-6, rtol: 1e-5 });
    expectAllClose(text!, ours.text, { atol: 1e-6, rtol: 1e-5 });
  });

  if (refused === undefined) {
    it('goes out and comes back with every value and config as it was', async () => {
      const [out, back] = [join(directory, 'out'), join(directory, 'back')];
      await writeFiles(out, openClipExport(trained));
      await writeFiles(back, [manifestFile(await writeFiles(back, importedCheckpoint(await loaded(out))))]);
      const again = await loaded(back);
      expect(again.config).toEqual(trained.config);
      for (const [name, values] of Object.entries(trained.values)) expectBitwise(again.values[name]!, values);
      expect(Object.keys(again.values)).toEqual(Object.keys(trained.values));
    });

    it('is loaded strictly by open_clip, which embeds the same', async ({ skip }) => {
      if (openClip === undefined)
        skip(
          'PYTHON names no Python with open_clip (scripts/reference/setup.sh): not compared with the real open_clip',
        );
      const out = join(directory, 'out');
      await writeFiles(out, openClipExport(trained));
      await expectSameEmbeddings({ there: openClip!, engine, directory }, out, trained);
    });
  } else {
    it('is refused by name where open_clip has no such part', () => {
      expect(() => [...openClipExport(trained)]).toThrow(
        expect.objectContaining({
          code: 'model_config_invalid',
          fields: [expect.objectContaining({ path: refused, remedy: expect.stringContaining('onnx') })],
        }),
      );
    });
  }
});
