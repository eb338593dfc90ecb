import { expect, it } from 'vitest';
import { ClipyardError, type FieldProblem } from '../errors.js';
import { keepsConstraint, parseConstraint } from './constraint.js';
import { parseSweepSpec } from './sweep-spec.js';

const SPEC = {
  version: 1,
  name: 'a',
  base: {},
  parameters: { 'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 } },
  search: { type: 'random', trials: 4 },
  objective: { metric: 'loss', goal: 'min' },
};

function problemsOf(changes: object): readonly FieldProblem[] {
  try {
    parseSweepSpec({ ...SPEC, ...changes });
  } catch (error) {
    expect(error).toMatchObject({ code: 'sweep_invalid' });
    expect(error).toBeInstanceOf(ClipyardError);
    return (error as ClipyardError).fields;
  }
  return [];
}

it('fills in the defaults', () => {
  expect(parseSweepSpec(SPEC)).toMatchObject({ halving: null, constraints: [], maxConcurrent: 1, seed: 0 });
  expect(parseSweepSpec({ ...SPEC, halving: { first: { epochs: 1 } } }).halving).toMatchObject({ eta: 4 });
});

it.each([
  [{ parameters: {} }, 'parameters', {}],
  [{ parameters: { 'optimizer.__proto__': { type: 'choice', values: [1] } } }, 'parameters.optimizer.__proto__', SPEC],
  [{ parameters: { name: { type: 'choice', values: ['b'] } } }, 'parameters.name', 'name'],
  [{ parameters: { 'a.b': { type: 'uniform', min: 2, max: 1 } } }, 'parameters.a.b.min', 2],
  [{ parameters: { 'a.b': { type: 'uniform', min: 1, max: 2, points: 3 } } }, 'parameters.a.b.points', 3],
  [{ search: { type: 'grid' } }, 'parameters.optimizer.lr.points', undefined],
  [
    {
      parameters: { 'a.b': { type: 'choice', values: [1] }, a: { type: 'choice', values: [{}] } },
    },
    'parameters.a.b',
    'a.b',
  ],
  [
    { halving: { first: { steps: 1 } }, parameters: { 'duration.steps': { type: 'int', min: 1, max: 9 } } },
    'parameters.duration.steps',
    'duration.steps',
  ],
  [{ objective: { metric: 'los', goal: 'min' } }, 'objective.metric', 'los'],
  [{ objective: { metric: 'loss', goal: 'least' } }, 'objective.goal', 'least'],
  [{ constraints: ['loss < 4', 'loss is small'] }, 'constraints[1]', 'loss is small'],
  [{ constraints: ['samplesPerSecond >= 100'] }, 'constraints[0]', 'samplesPerSecond'],
  [{ search: { type: 'random', trials: 1001 } }, 'search.trials', 1001],
  [{ maxConcurent: 2 }, 'maxConcurent', 2],
])('refuses %j, naming %s, the value and the remedy', (changes, path, value) => {
  const problem = problemsOf(changes).find((found) => found.path === path);
  expect(problem, JSON.stringify(problemsOf(changes))).toMatchObject({ remedy: expect.any(String) });
  if (value !== SPEC) expect(problem!.value).toEqual(value);
});

it('reads constraints', () => {
  expect(parseConstraint(' speed/samples_per_second>=1e2 ')).toEqual({
    metric: 'speed/samples_per_second',
    comparison: '>=',
    bound: 100,
  });
  for (const text of ['', 'loss', 'loss <', 'loss < x', '< 4', 'loss == 4', 'loss < 1.2.3'])
    expect(parseConstraint(text), text).toBeUndefined();
  const kept = (text: string, value: number) => keepsConstraint(parseConstraint(text)!, value);
  expect([kept('a < 1', 1), kept('a <= 1', 1), kept('a > 1', 1), kept('a >= -1', -1)]).toEqual([
    false,
    true,
    false,
    true,
  ]);
});
