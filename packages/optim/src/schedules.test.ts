import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { learningRate } from './schedules.js';

/** Stored values of open_clip_train.scheduler, made by scripts/reference/make_optim_fixture.py. */
const { schedules } = JSON.parse(readFileSync(new URL('./fixtures/optim-torch.json', import.meta.url), 'utf8')) as {
  schedules: {
    type: 'cosine' | 'constant' | 'constant-cooldown';
    lr: number;
    warmupSteps: number;
    totalSteps: number;
    cooldownSteps?: number;
    cooldownEnd?: number;
    cooldownPower?: number;
    values: [step: number, lr: number][];
  }[];
};

const NO_COOLDOWN = { cooldownSteps: 0, cooldownEnd: 0, cooldownPower: 1 };

it.each(schedules)('is open_clip’s $type with $warmupSteps steps of warm-up in $totalSteps', (of) => {
  const { lr, totalSteps, values, ...schedule } = of;
  expect(values.length).toBeGreaterThan(7);
  for (const [step, expected] of values) {
    const error = Math.abs(learningRate({ ...NO_COOLDOWN, ...schedule }, lr, step, totalSteps) - expected);
    expect(error).toBeLessThan(1e-14 * lr);
  }
});

it('warms up from above zero and reaches the peak in the last step of the warm-up', () => {
  const at = (step: number) => learningRate({ ...NO_COOLDOWN, type: 'cosine', warmupSteps: 4 }, 1, step, 12);
  expect([0, 1, 2, 3, 4].map(at)).toEqual([0.25, 0.5, 0.75, 1, 1]);
  expect(at(8)).toBeCloseTo(0.5, 12);
});

it('is all warm-up where that is all there is', () => {
  expect(learningRate({ ...NO_COOLDOWN, type: 'cosine', warmupSteps: 10 }, 1, 9, 10)).toBe(1);
});
