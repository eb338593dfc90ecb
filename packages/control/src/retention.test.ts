import { describe, expect, it } from 'vitest';
import { droppedCheckpoints } from './retention.js';

const rules = { everySteps: 1, keepLast: 2, keepBest: 0, bestBy: 'loss' };
const at = (step: number, metrics: Record<string, number> = {}) => ({ step, metrics });
const dropped = (checkpoints: ReturnType<typeof at>[], changes = {}): number[] =>
  droppedCheckpoints(checkpoints, { ...rules, ...changes }).map(({ step }) => step);

describe('droppedCheckpoints', () => {
  it('keeps the newest by step, whatever the order they come in', () => {
    expect(dropped([at(300), at(100), at(400), at(200)])).toEqual([200, 100]);
  });

  it('keeps the lowest loss besides', () => {
    const checkpoints = [at(100, { loss: 1 }), at(200, { loss: 3 }), at(300, { loss: 2 }), at(400)];
    expect(dropped(checkpoints, { keepLast: 1, keepBest: 1 })).toEqual([300, 200]);
  });

  it('keeps the highest accuracy, and of equals the newer', () => {
    const checkpoints = [at(100, { acc: 0.5 }), at(200, { acc: 0.5 }), at(300, { acc: 0.1 }), at(400)];
    expect(dropped(checkpoints, { keepLast: 1, keepBest: 1, bestBy: 'acc' })).toEqual([300, 100]);
  });
});
