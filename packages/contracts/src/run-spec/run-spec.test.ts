import { expect, it } from 'vitest';
import { ClipyardError, type FieldProblem } from '../errors.js';
import { parseRunSpec } from './run-spec.js';

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

it('refuses the character NUL, which the database cannot store', () => {
  expect(problemsOf({ labels: { team: 'a\0b' } })).toMatchObject([{ path: 'labels.team', remedy: 'Remove it.' }]);
  expect(problemsOf({ model: { config: { 'a\0': 1 } } })).toMatchObject([{ path: 'model.config' }]);
});
