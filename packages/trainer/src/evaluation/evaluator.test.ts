import type { EvaluationTask } from '@clipyard/contracts';
import { type Dataset, openDataset } from '@clipyard/data';
import { type Engine, openEngine } from '@clipyard/engine';
import { buildWordTokenizer, parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { referenceGroups } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TrainState } from '../step/train-state.js';
import { type EvaluationResult, Evaluator } from './evaluator.js';

const CONFIG = parseModelConfig({
  embed_dim: 16,
  vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
  text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
});
const SPECS = parameterSpecs(CONFIG, 0.07);
const SIGNAL = new AbortController().signal;

describe('an evaluation', () => {
  let engine: Engine;
  let dataset: Dataset;
  beforeAll(async () => {
    engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
    const places = { dataDir: '.', cacheDir: '.', imageSize: 16 };
    dataset = await openDataset({ type: 'shapes', samples: 600, seed: 1, split: 'all' }, places);
  });
  afterAll(() => engine.close());

  /** Weights as they begin, or all the same, which makes every embedding the same. */
  async function evaluate(
    tasks: EvaluationTask[],
    { worldSize = 1, collapsed = false, on = dataset, evalSamples = 600 } = {},
  ): Promise<EvaluationResult> {
    const tokenizer = await buildWordTokenizer(dataset.captions(), { vocabSize: 96, contextLength: 16 });
    const results = await Promise.all(
      referenceGroups(worldSize).map(async (group) => {
        const weights = new TrainState(engine, SPECS, parameterLayout(SPECS), group.rank, worldSize);
        weights.initialize(1);
        if (collapsed)
          for (const name of ['visual.ln_post.weight', 'ln_final.weight']) weights.towerViews[name]!.fill(0);
        if (collapsed) for (const name of ['visual.ln_post.bias', 'ln_final.bias']) weights.towerViews[name]!.fill(1);
        const deps = { engine, group, weights, tokenizer, dataset: on, log: () => undefined };
        const evaluator = await Evaluator.create(deps, { config: CONFIG, tasks, evalSamples });
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
