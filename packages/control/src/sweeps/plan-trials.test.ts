import { type ClipyardError, fieldError, parseSweepSpec } from '@clipyard/contracts';
import { expect, it } from 'vitest';
import { planTrials } from './plan-trials.js';

const sweep = (changes: object = {}) =>
  parseSweepSpec({
    version: 1,
    name: 'search',
    base: {
      version: 1,
      name: 'replaced',
      model: { preset: 'clip-tiny' },
      data: { train: { type: 'shapes' } },
      batch: { global: 64 },
      duration: { steps: 90 },
    },
    parameters: { 'optimizer.lr': { type: 'choice', values: [1e-3, 2e-3] } },
    search: { type: 'grid' },
    objective: { metric: 'loss', goal: 'min' },
    ...changes,
  });

function errorOf(changes: object, check?: Parameters<typeof planTrials>[1]): ClipyardError {
  try {
    planTrials(sweep(changes), check);
  } catch (error) {
    return error as ClipyardError;
  }
  throw new Error('nothing was refused');
}

it('makes a run spec of each trial, with defaults, the values and a name of its own', () => {
  const trials = planTrials(sweep());
  expect(trials.map(({ spec }) => [spec.name, spec.optimizer.lr, spec.optimizer.eps])).toEqual([
    ['search-0', 1e-3, 1e-6],
    ['search-1', 2e-3, 1e-6],
  ]);
  expect(trials.map(({ values }) => values)).toEqual([{ 'optimizer.lr': 1e-3 }, { 'optimizer.lr': 2e-3 }]);
});

const choice = (values: unknown[]) => ({ type: 'choice', values });
it.each([
  ['a value out of range', { 'optimizer.lr': choice([1e-3, -1]) }, 'spec_invalid', 'parameters.optimizer.lr', -1],
  ['a misspelt path', { 'optimizer.rl': choice([1]) }, 'spec_invalid', 'parameters.optimizer.rl', 1],
  ['a path through a value', { 'seed.x': choice([1]) }, 'spec_invalid', 'parameters.seed.x', { x: 1 }],
  [
    'a path through a value of the base',
    { 'duration.steps.x': choice([1]) },
    'sweep_invalid',
    'parameters.duration.steps.x',
    90,
  ],
  ['a batch that does not divide', { 'batch.micro': choice([48]) }, 'batch_not_divisible', 'base.batch.global', 64],
  ['parts of a value', { 'optimizer.betas': choice([[0.9, 2]]) }, 'spec_invalid', 'parameters.optimizer.betas[1]', 2],
])('refuses %s, naming path, value and remedy', (_, parameters, code, path, value) => {
  const error = errorOf({ parameters });
  expect(error).toMatchObject({ code, fields: [{ path, value, remedy: expect.any(String) }] });
});

it('refuses a base that is no run spec, an objective that nothing measures, and rungs without room', () => {
  expect(errorOf({ base: { version: 1 } }).fields.map(({ path }) => path)).toContain('base.batch');
  const unmeasured = { objective: { metric: 'eval/zeroshot/top1', goal: 'max' } };
  expect(errorOf(unmeasured)).toMatchObject({
    code: 'sweep_invalid',
    fields: [{ path: 'base.evaluate.tasks', value: [] }],
  });
  const halving = { first: { epochs: 1 } };
  expect(errorOf({ halving })).toMatchObject({ code: 'sweep_invalid', fields: [{ path: 'halving.first' }] });
});

it('refuses what the check of each spec refuses, and a grid that is too large', () => {
  const check = () => {
    throw fieldError('preset_unknown', {
      path: 'model.preset',
      message: 'is not a preset',
      value: 'x',
      remedy: 'Use y.',
    });
  };
  expect(errorOf({}, check)).toMatchObject({ code: 'preset_unknown', fields: [{ path: 'base.model.preset' }] });
  const searched = { parameters: { 'model.preset': choice(['x']) } };
  expect(errorOf(searched, check)).toMatchObject({ fields: [{ path: 'parameters.model.preset', message: /trial 0/ }] });
  const parameters = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, choice(Array(11).fill(1))]));
  expect(errorOf({ parameters })).toMatchObject({
    code: 'sweep_invalid',
    fields: [{ path: 'parameters', value: 1331 }],
  });
});

it('refuses to judge by what a separate evaluation may not have found yet', () => {
  const base = {
    ...sweep().base,
    data: { train: { type: 'shapes' }, eval: { type: 'shapes' } },
    evaluate: { mode: 'separate', tasks: [{ type: 'zeroshot' }] },
  };
  const objective = { metric: 'eval/zeroshot/top1', goal: 'max' };
  expect(errorOf({ base, objective })).toMatchObject({
    code: 'sweep_invalid',
    fields: [{ path: 'base.evaluate.mode', value: 'separate' }],
  });
  expect(planTrials(sweep({ base }))).toHaveLength(2);
});
