import { expect, it } from 'vitest';
import { ClipyardError, type FieldProblem } from '../errors.js';
import { CORRUPTION_TYPES } from './corruptions.js';
import { parseRunSpec, worldSizes } from './run-spec.js';

const SPEC = {
  version: 1,
  name: 'a',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 8 },
  duration: { steps: 1 },
};

function problemsOf(changes: object): readonly FieldProblem[] {
  try {
    parseRunSpec({ ...SPEC, ...changes });
  } catch (error) {
    expect(error).toBeInstanceOf(ClipyardError);
    return (error as ClipyardError).fields;
  }
  return [];
}

it('names each key that does not belong, with its value', () => {
  expect(problemsOf({ stpes: 3, batch: { global: 8, mirco: 4 } })).toMatchObject([
    { path: 'batch.mirco', value: 4, remedy: expect.stringContaining('`mirco`') },
    { path: 'stpes', value: 3, remedy: expect.stringContaining('`stpes`') },
  ]);
});

it('says of a duration that is none, or two at once, what it must be, and of a wrong number what is wrong', () => {
  for (const duration of [{}, { steps: 1, epochs: 1 }])
    expect(problemsOf({ duration })).toMatchObject([
      { path: 'duration', message: expect.stringContaining('`epochs`') },
    ]);
  expect(problemsOf({ duration: { steps: 0 } })).toMatchObject([{ path: 'duration.steps', value: 0 }]);
});

it('wants a name of its own for each evaluation task', () => {
  const data = { train: { type: 'shapes' }, eval: { type: 'shapes' } };
  const evaluate = {
    tasks: [{ type: 'zeroshot' }, { type: 'retrieval' }, { type: 'zeroshot', templates: 'openai-80' }],
  };
  expect(problemsOf({ data, evaluate })).toMatchObject([{ path: 'evaluate.tasks[2].name', value: 'zeroshot' }]);
  const named = { tasks: [...evaluate.tasks.slice(0, 2), { ...evaluate.tasks[2], name: 'paper' }] };
  expect(problemsOf({ data, evaluate: named })).toEqual([]);
  expect(problemsOf({ data, evaluate: { tasks: [{ type: 'zeroshot', templates: 'openai-8' }] } })).toMatchObject([
    { path: 'evaluate.tasks[0].templates', message: expect.stringContaining('openai-80') },
  ]);
});

it('of type evaluate wants weights and a task, and nothing that only training needs', () => {
  const evaluation = {
    version: 1,
    type: 'evaluate',
    name: 'a',
    model: { init: 'job:job_1' },
    data: { eval: { type: 'shapes' } },
    evaluate: { tasks: [{ type: 'zeroshot' }] },
    resources: { world: { min: 1, max: 3 } },
  };
  const spec = parseRunSpec(evaluation);
  expect(worldSizes(spec)).toEqual([1, 2, 3]);
  expect(spec.data.train).toEqual(spec.data.eval);
  const fieldOf = (changes: object): string | undefined => {
    try {
      parseRunSpec({ ...evaluation, ...changes });
      return undefined;
    } catch (error) {
      return (error as ClipyardError).fields[0]!.path;
    }
  };
  expect(fieldOf({ model: { preset: 'clip-tiny' } })).toBe('model.init');
  expect(fieldOf({ evaluate: {} })).toBe('evaluate.tasks');
  for (const data of [{}, undefined]) expect(fieldOf({ data })).toBe('data.eval');
  expect(fieldOf({ evaluate: { tasks: [{ type: 'retrieval' }, { type: 'few-shot' }] } })).toBe(
    'evaluate.tasks[1].train',
  );
  expect(fieldOf({ type: 'train' })).toBeDefined();
  expect(fieldOf({ evaluate: { mode: 'separate', tasks: [{ type: 'zeroshot' }] } })).toBe('evaluate.mode');
  expect(fieldOf({ precision: { compute: 'bf16' } })).toBeUndefined();
  expect(fieldOf({ precision: { textWeights: 'bf16' } })).toBe('precision.textWeights');
});

it('refuses corruptions that nothing is measured on, or named twice', () => {
  const data = { train: { type: 'shapes' }, eval: { type: 'shapes' } };
  const problems = (types: string[], task: string) =>
    problemsOf({ data, evaluate: { tasks: [{ type: task }], corruptions: { types } } });
  expect(problems(['jpeg'], 'zeroshot')).toEqual([]);
  expect(problems(['jpeg'], 'few-shot')).toMatchObject([{ path: 'evaluate.corruptions' }]);
  expect(problems(['jpeg', 'jpeg'], 'zeroshot')).toMatchObject([{ path: 'evaluate.corruptions.types' }]);
  expect(problems(['fog'], 'zeroshot')).toMatchObject([{ path: 'evaluate.corruptions.types[0]', value: 'fog' }]);
  const all = parseRunSpec({ ...SPEC, data, evaluate: { tasks: [{ type: 'retrieval' }], corruptions: {} } });
  expect(all.evaluate.corruptions).toMatchObject({ types: CORRUPTION_TYPES, severities: [1, 2, 3, 4, 5] });
});

it('refuses the character NUL, which the database cannot store', () => {
  expect(problemsOf({ labels: { team: 'a\0b' } })).toMatchObject([{ path: 'labels.team', remedy: 'Remove it.' }]);
  expect(problemsOf({ model: { config: { 'a\0': 1 } } })).toMatchObject([{ path: 'model.config' }]);
});

it('says which type of loss a field belongs to, and fills in the defaults of each type', () => {
  const lossOf = (loss: object) => parseRunSpec({ ...SPEC, loss }).loss;
  expect(lossOf({})).toMatchObject({ type: 'clip', initTemperature: 0.07, labelSmoothing: 0 });
  expect(lossOf({ initTemperature: 0.1 })).toMatchObject({ type: 'clip', initTemperature: 0.1 });
  expect(lossOf({ type: 'siglip' })).toMatchObject({ initTemperature: 0.1, initLogitBias: -10 });
  expect(problemsOf({ loss: { type: 'siglip', labelSmoothing: 0.1 } })).toMatchObject([
    { path: 'loss.labelSmoothing', value: 0.1, message: 'belongs to `loss.type: clip`' },
  ]);
  expect(problemsOf({ loss: { initLogitBias: -1 } })).toMatchObject([
    { path: 'loss.initLogitBias', value: -1, message: 'belongs to `loss.type: siglip`' },
  ]);
  expect(lossOf({ distill: { from: 'job:a@3' } })).toMatchObject({ distill: { weight: 1, temperature: 1 } });
  expect(problemsOf({ loss: { type: 'siglip', distill: { from: 'job:a' } } })).toMatchObject([
    { path: 'loss.distill', message: 'belongs to `loss.type: clip`' },
  ]);
  expect(problemsOf({ loss: { distill: { from: 'a.pt' } } })).toMatchObject([
    { path: 'loss.distill.from', value: 'a.pt', message: expect.stringContaining('file:<path>') },
  ]);
  expect(problemsOf({ loss: { type: 'simclr' } })).toMatchObject([{ path: 'loss.type', value: 'simclr' }]);
  expect(problemsOf({ loss: { labelSmoothing: 1 } })).toMatchObject([{ path: 'loss.labelSmoothing', value: 1 }]);
});

it('refuses micro-batches that are encoded alone where batch norm spans them', () => {
  const [model, batch] = [
    { ...SPEC.model, batchNorm: 'global' },
    { ...SPEC.batch, micro: 2 },
  ];
  expect(problemsOf({ model, batch })).toMatchObject([
    { path: 'batch.micro', value: 2, remedy: expect.stringContaining('batchNorm') },
  ]);
  expect(problemsOf({ model })).toEqual([]);
  expect(problemsOf({ batch })).toEqual([]);
});

it('refuses to compare pictures that augmentation makes differ', () => {
  const data = { ...SPEC.data, augment: 'crop' };
  expect(problemsOf({ data, loss: { maskDuplicates: 'image' } })).toMatchObject([
    { path: 'loss.maskDuplicates', value: 'image', remedy: expect.stringContaining('caption') },
  ]);
  expect(problemsOf({ data, loss: { maskDuplicates: 'caption' } })).toEqual([]);
});

it('refuses what does nothing as the rest of the spec is', () => {
  const schedule = { type: 'constant', cooldownPower: 2 };
  expect(problemsOf({ schedule })).toMatchObject([
    { path: 'schedule.cooldownPower', value: 2, message: 'does nothing with the constant schedule' },
  ]);
  expect(problemsOf({ schedule: { cooldownEnd: 1e-5 } })).toMatchObject([{ path: 'schedule.cooldownEnd' }]);
  expect(problemsOf({ schedule: { cooldownSteps: 1 } })).toMatchObject([{ path: 'schedule.cooldownSteps' }]);
  expect(problemsOf({ schedule: { ...schedule, type: 'constant-cooldown', cooldownSteps: 1 } })).toEqual([]);
  const model = (lock: object) => ({ model: { ...SPEC.model, lock } });
  expect(problemsOf(model({ image: true, textUnlockedGroups: 2 }))).toMatchObject([
    { path: 'model.lock.textUnlockedGroups', value: 2, remedy: expect.stringContaining('model.lock.text: true') },
  ]);
  expect(problemsOf(model({ image: true, imageUnlockedGroups: 2 }))).toEqual([]);
});
