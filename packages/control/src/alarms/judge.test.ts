import { describe, expect, it } from 'vitest';
import { spec } from '../test-harness.js';
import { type AlarmChange, alarmMemory, judge, judgeDivergence } from './judge.js';

type Values = Readonly<Record<string, number>>;

const HEALTHY: Values = {
  loss: 2,
  grad_norm: 1,
  logit_scale: 20,
  'time/step_ms': 100,
  'time/data_ms': 1,
  'health/scale_at_clamp': 0,
  'health/image/rank': 20,
  'health/text/rank': 18,
  'health/image/uniformity': -2,
  'health/text/uniformity': -2,
  'health/duplicates/caption': 0.2,
  'health/duplicates/image': 0,
};

/** Judges reports one after another, ten steps apart; `from`: the step of the first. */
function run(
  reports: readonly Values[],
  options: { from?: number; spec?: Parameters<typeof spec>[0]; worldSize?: number } = {},
) {
  const { from = 10, worldSize = 1 } = options;
  const given = spec({ schedule: { warmupSteps: 0 }, ...options.spec });
  let memory = alarmMemory({});
  const changes: AlarmChange[] = [];
  for (const [index, values] of reports.entries()) {
    const judged = judge(memory, { spec: given, worldSize, step: from + 10 * index, values, latest: values });
    // What is kept goes through JSON.
    memory = alarmMemory(JSON.parse(JSON.stringify(judged.memory)));
    changes.push(...judged.changes);
  }
  const said = changes.map(({ code, state, step }) => `${code} ${state} ${step}`);
  return { said, changes, active: memory.active.map(({ code }) => code) };
}

const times = (count: number, changes: Values = {}): Values[] =>
  Array.from({ length: count }, () => ({ ...HEALTHY, ...changes }));

describe('alarms', () => {
  it('are silent about a healthy run', () => {
    const falling = Array.from({ length: 100 }, (_, i) => ({
      ...HEALTHY,
      loss: 4.2 * 0.98 ** i,
      grad_norm: 1 + (i % 3),
    }));
    expect(run(falling).said).toEqual([]);
  });

  it('are raised when a figure is bad several times in a row, and cleared when it is good again', () => {
    const bad = { 'health/text/rank': 1.2 };
    const { said, changes } = run([...times(3), ...times(4, bad), ...times(4)]);
    expect(said).toEqual(['collapse raised 50', 'collapse cleared 90']);
    expect(changes[0]).toMatchObject({ severity: 'error', sinceStep: 50, remedy: expect.stringContaining('lr') });
    expect(changes[0]!.message).toContain('captions have an effective rank of 1.2');
  });

  it('do not flap around a threshold', () => {
    const around = Array.from({ length: 40 }, (_, i) => ({
      ...HEALTHY,
      'health/duplicates/caption': i % 2 === 0 ? 0.51 : 0.45,
    }));
    expect(run(around).said).toEqual([]);
    const between = [...times(3, { 'health/duplicates/caption': 0.6 }), ...around];
    expect(run(between).said).toEqual(['false_negatives raised 20']);
  });

  it.each([
    ['scale_at_clamp', times(5, { 'health/scale_at_clamp': 1 }), {}],
    ['false_negatives', times(3, { 'health/duplicates/image': 0.9 }), {}],
    ['learning_rate', times(3, { loss: 9 }), {}],
    ['learning_rate', [...times(20), ...times(3, { grad_norm: 100 })], {}],
    ['learning_rate', [...times(20), ...times(3, { loss: 5.5 })], {}],
    ['plateau', times(8, { loss: Math.log(64) }), { from: 300 }],
    ['data_starvation', times(6, { 'time/data_ms': 50 }), {}],
    [
      'straggler',
      times(10, { 'rank/0/communicate_ms': 50, 'rank/1/communicate_ms': 2, 'rank/2/communicate_ms': 45 }),
      { worldSize: 3 },
    ],
  ])('tell of %s', (code, reports, options) => {
    const { active, changes } = run(reports, options);
    expect(active).toEqual([code]);
    if (code === 'straggler') expect(changes[0]!.message).toContain('Rank 1');
  });

  it('do not tell of what the spec sees to, or what is too early to say', () => {
    const caption = { spec: { loss: { maskDuplicates: 'caption' as const } } };
    expect(run(times(5, { 'health/duplicates/caption': 1 }), caption).active).toEqual([]);
    expect(run(times(15, { loss: Math.log(64) }), { from: 10 }).active).toEqual([]);
    expect(run(times(8, { loss: Math.log(64) }), { from: 300, spec: { loss: { type: 'siglip' } } }).active).toEqual([]);
  });

  it('tell of a run that ended at a loss that is no number, once', () => {
    const { memory, changes } = judgeDivergence(alarmMemory({}), 7, 'The loss of step 8 is NaN');
    expect(changes).toMatchObject([{ code: 'learning_rate', state: 'raised', step: 7 }]);
    expect(judgeDivergence(memory, 7, 'again').changes).toEqual([]);
  });
});
