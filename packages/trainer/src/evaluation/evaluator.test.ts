import type { CorruptionType, DataSource, EvaluationTask } from '@clipyard/contracts';
import { type Dataset, openDataset } from '@clipyard/data';
import { type ComputePrecision, type Engine, openEngine } from '@clipyard/engine';
import {
  buildWordTokenizer,
  type ModelConfig,
  parameterLayout,
  parameterSpecs,
  parseModelConfig,
} from '@clipyard/model';
import { referenceGroups } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TrainState } from '../step/train-state.js';
import { type EvaluationResult, Evaluator } from './evaluator.js';

// A machine that is busy with other things takes several times as long.
vi.setConfig({ testTimeout: 120_000 });

const CONFIG = parseModelConfig({
  embed_dim: 16,
  vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
  text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
});
const RESNET = parseModelConfig({
  embed_dim: 16,
  vision_cfg: { image_size: 32, layers: [1, 1, 1, 1], width: 8, head_width: 64, patch_size: null },
  text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
});
const PLACES = { dataDir: '.', cacheDir: '.', imageSize: 16 };
const SIGNAL = new AbortController().signal;

describe('an evaluation', () => {
  let engine: Engine;
  let dataset: Dataset;
  beforeAll(async () => {
    engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
    dataset = await openDataset({ type: 'shapes', samples: 600, seed: 1, split: 'all' }, PLACES);
  });
  afterAll(() => engine.close());

  /** Weights as they begin, or all the same, which makes every embedding the same. */
  async function evaluate(
    tasks: EvaluationTask[],
    {
      worldSize = 1,
      collapsed = false,
      on = dataset,
      evalSamples = 600,
      trainData,
      corruptions,
      config = CONFIG,
      compute,
    }: {
      worldSize?: number;
      collapsed?: boolean;
      on?: Dataset;
      evalSamples?: number;
      trainData?: Dataset;
      corruptions?: { types: CorruptionType[]; severities: number[] };
      config?: ModelConfig;
      compute?: ComputePrecision;
    } = {},
  ): Promise<EvaluationResult> {
    const tokenizer = await buildWordTokenizer(dataset.captions(), { vocabSize: 96, contextLength: 16 });
    const specs = parameterSpecs(config, 0.07);
    const results = await Promise.all(
      referenceGroups(worldSize).map(async (group) => {
        const weights = new TrainState(engine, specs, parameterLayout(specs), group.rank, worldSize);
        weights.initialize(1);
        if (collapsed)
          for (const name of ['visual.ln_post.weight', 'ln_final.weight']) weights.towerViews[name]!.fill(0);
        if (collapsed) for (const name of ['visual.ln_post.bias', 'ln_final.bias']) weights.towerViews[name]!.fill(1);
        const deps = {
          engine,
          group,
          weights,
          tokenizer,
          dataset: on,
          log: () => undefined,
          openLearningData: async (source: DataSource | undefined) =>
            source !== undefined
              ? { dataset: await openDataset(source, PLACES), owned: true }
              : trainData && { dataset: trainData, owned: false },
        };
        const options = { config, tasks, corruptions, evalSamples, seed: 5, ...(compute && { compute }) };
        const evaluator = await Evaluator.create(deps, options);
        const result = await evaluator.run(true, SIGNAL);
        await evaluator.dispose();
        return result;
      }),
    );
    for (const { values } of results) expect(values).toEqual(results[0]!.values);
    return results[0]!;
  }

  const TASKS: EvaluationTask[] = [
    { type: 'zeroshot' },
    { type: 'zeroshot', name: 'paper', templates: 'openai-80' },
    { type: 'zeroshot', name: 'reds', classes: ['red star', 'red heart', 'a dog'], templates: ['a {}'] },
    { type: 'retrieval' },
  ];

  it('gives on several ranks what it gives on one', async () => {
    const one = await evaluate(TASKS);
    expect(Object.keys(one.values)).toEqual(
      expect.arrayContaining([
        ...['top1', 'top5', 'mean_per_class', 'seen', 'unseen'].map((name) => `eval/zeroshot/${name}`),
        'eval/paper/top5',
        'eval/reds/top1',
        'eval/retrieval/image_to_text/median_rank',
      ]),
    );
    expect(Object.keys(one.values)).not.toContain('eval/reds/seen');
    expect(one.samples).toHaveLength(3);
    expect(one.samples[0]!.predictions[0]!.label).toBeTypeOf('string');
    for (const worldSize of [2, 3]) {
      const { values } = await evaluate(TASKS, { worldSize });
      for (const [name, value] of Object.entries(one.values)) expect(values[name], name).toBeCloseTo(value, 6);
    }
  });

  it('judges corrupted pictures too, the same on several ranks, and sums that up', async () => {
    const tasks: EvaluationTask[] = [{ type: 'zeroshot' }, { type: 'retrieval' }];
    const corruptions = { types: ['gaussian_noise', 'jpeg'] as CorruptionType[], severities: [1, 5] };
    const clean = await evaluate(tasks);
    const one = await evaluate(tasks, { corruptions });
    expect(one.values).toMatchObject(clean.values);
    const corrupted = one.results[0]!.details.corrupted as {
      type: string;
      severity: number;
      values: { top1: number };
    }[];
    expect(corrupted.map(({ type, severity }) => [type, severity])).toEqual([
      ['gaussian_noise', 1],
      ['gaussian_noise', 5],
      ['jpeg', 1],
      ['jpeg', 5],
    ]);
    const mean = corrupted.reduce((sum, { values }) => sum + values.top1, 0) / 4;
    expect(one.values['eval/zeroshot/corrupted/top1']).toBeCloseTo(mean, 12);
    expect(one.values['eval/zeroshot/corrupted/top1_relative']).toBeCloseTo(
      mean / clean.values['eval/zeroshot/top1']!,
      9,
    );
    expect(one.values['eval/zeroshot/corrupted/jpeg/top1']).toBe(
      (corrupted[2]!.values.top1 + corrupted[3]!.values.top1) / 2,
    );
    expect(one.values['eval/retrieval/corrupted/image_to_text/r1']).toBeGreaterThan(0);
    const { values } = await evaluate(tasks, { corruptions, worldSize: 3 });
    for (const [name, value] of Object.entries(one.values)) expect(values[name], name).toBeCloseTo(value, 6);
  });

  const probe = { type: 'linear-probe', trainSamples: 96, validationFraction: 0.25 } as const;
  const fewShot = { type: 'few-shot', trainSamples: 160, shots: [1, 4], draws: 2, strength: 1 } as const;

  /** Drawings of the eight pairs that are held out, as a data set of eight classes in the given order. */
  async function eightClasses(
    seed: number,
    order = (label: number): number => label,
    imageSize = PLACES.imageSize,
  ): Promise<Dataset> {
    const places = { ...PLACES, imageSize };
    const shapes = await openDataset({ type: 'shapes', samples: 160, seed, split: 'unseen' }, places);
    const names = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => shapes.classes!.names[(await shapes.read(i)).label!]!),
    );
    const ordered = names.map((_, i) => names[order(i)]!);
    return {
      ...unnamed(shapes),
      captions: shapes.captions.bind(shapes),
      classes: { names: ordered },
      read: async (i) => {
        const { label, ...sample } = await shapes.read(i);
        return { ...sample, label: ordered.indexOf(shapes.classes!.names[label!]!) };
      },
    };
  }

  it('fits probes that beat chance even on features that were never trained, the same on several ranks', async () => {
    const tasks: EvaluationTask[] = [probe, { ...fewShot, shots: [1, 4] }];
    const data = { on: await eightClasses(1), trainData: await eightClasses(7) };
    const one = (await evaluate(tasks, data)).values;
    expect(one['eval/linear-probe/top1']).toBeGreaterThan(3 / 8);
    expect(one['eval/linear-probe/top5']).toBeGreaterThan(one['eval/linear-probe/top1']!);
    expect(one['eval/few-shot/shots_4']).toBeGreaterThan(one['eval/few-shot/shots_1']!);
    expect(Object.keys(one)).toEqual(
      expect.arrayContaining(['eval/linear-probe/strength', 'eval/linear-probe/unseen', 'eval/few-shot/shots_1_std']),
    );
    // Fits end within a tolerance, where sums over ranks round otherwise: a picture on the edge may fall to another side.
    const three = (await evaluate(tasks, { ...data, worldSize: 3 })).values;
    expect(Math.abs(three['eval/linear-probe/top1']! - one['eval/linear-probe/top1']!)).toBeLessThan(2.5 / 160);
    for (const shots of [1, 4])
      expect(three[`eval/few-shot/shots_${shots}`]).toBeCloseTo(one[`eval/few-shot/shots_${shots}`]!, 2);
  });

  it('fits probes on what a ResNet gives before its projection', async () => {
    const same = (label: number): number => label;
    const data = { on: await eightClasses(1, same, 32), trainData: await eightClasses(7, same, 32), config: RESNET };
    const retrieval: EvaluationTask = { type: 'retrieval' };
    const found = await evaluate([probe, { ...fewShot, shots: [4], strength: 1e-4 }, retrieval], data);
    expect(found.values['eval/linear-probe/top1']).toBeGreaterThan(3 / 8);
    expect(found.values['eval/few-shot/shots_4']).toBeGreaterThan(1 / 8);
    expect(found.results[0]!.details).toMatchObject({ features: 32 * 8, samples: 160, trainSamples: 96 });
    // The embeddings that come with the features are those that come alone.
    const alone = await evaluate([retrieval], data);
    for (const [name, value] of Object.entries(alone.values)) expect(found.values[name], name).toBeCloseTo(value, 6);
    const three = (await evaluate([probe], { ...data, worldSize: 3 })).values;
    expect(three['eval/linear-probe/top1']).toBeCloseTo(found.values['eval/linear-probe/top1']!, 1);
  });

  it('measures weights in the precision that is asked for', async () => {
    const confidence = async (compute: ComputePrecision): Promise<number> =>
      (await evaluate([{ type: 'zeroshot' }], { compute })).samples[0]!.predictions[0]!.probability;
    const [fp32, bf16] = [await confidence('fp32'), await confidence('bf16')];
    expect(bf16).not.toBe(fp32);
    expect(bf16).toBeCloseTo(fp32, 2);
  });

  it('learns classes by their names, whatever their numbers', async () => {
    const on = await eightClasses(1);
    const tasks: EvaluationTask[] = [{ ...fewShot, shots: [16], draws: 1 }];
    const same = (await evaluate(tasks, { on, trainData: await eightClasses(7) })).values;
    const turned = (await evaluate(tasks, { on, trainData: await eightClasses(7, (label) => 7 - label) })).values;
    expect(turned['eval/few-shot/shots_16']).toBeCloseTo(same['eval/few-shot/shots_16']!, 6);
  });

  it('names the field where there is nothing to learn from', async () => {
    await expect(evaluate([probe])).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ path: 'evaluate.tasks[0].train' }],
    });
    const synthetic: DataSource = { type: 'synthetic', samples: 64, seed: 1 };
    await expect(evaluate([{ ...fewShot, shots: [1], train: synthetic }])).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [{ path: 'evaluate.tasks[0].train', message: expect.stringContaining('no sample with a class') }],
    });
  });

  it('gives chance to a model that has collapsed', async () => {
    const { values } = await evaluate(TASKS, { collapsed: true, evalSamples: 256, worldSize: 2 });
    expect(values['eval/zeroshot/top1']).toBeCloseTo(1 / 64, 6);
    expect(values['eval/zeroshot/top5']).toBeCloseTo(5 / 64, 6);
    expect(values['eval/reds/top1']).toBeCloseTo(1 / 3, 6);
    const captions = new Set<string>();
    for await (const caption of dataset.captions({ limit: 256 })) captions.add(caption);
    expect(values['eval/retrieval/image_to_text/r1']).toBeCloseTo(1 / captions.size, 6);
  });

  it('fails before anything is trained where a label has no name', async () => {
    const on = { ...unnamed(dataset), read: async (i: number) => ({ ...(await dataset.read(i)), label: i }) };
    const tasks: EvaluationTask[] = [{ type: 'zeroshot', classes: ['a', 'b'] }];
    await expect(evaluate(tasks, { on })).rejects.toMatchObject({ code: 'data_label_invalid' });
    await expect(evaluate([{ type: 'zeroshot' }], { on })).rejects.toMatchObject({ code: 'spec_invalid' });
    const unlabelled = { ...on, read: async (i: number) => ({ ...(await dataset.read(i)), label: undefined }) };
    const { values, samples } = await evaluate(tasks, { on: unlabelled, evalSamples: 64 });
    expect(values).toEqual({});
    expect(samples).toHaveLength(3);
  });
});

function unnamed({ size, imageSize, captions, close }: Dataset): Omit<Dataset, 'read'> {
  return { size, imageSize, captions, close };
}
