import { describe, expect, it } from 'vitest';
import { planRun } from './run-plan.js';

const plan = (global: number, options: { micro?: number; worldSize?: number; cutsShare?: boolean } = {}) => {
  const { micro, worldSize = 1, cutsShare = true } = options;
  const batch = { global, ...(micro !== undefined && { micro }) };
  const { microBatch, keepsTapes } = planRun({ batch, duration: { steps: 1 } }, 1000, {
    rank: 0,
    worldSize,
    cutsShare,
  });
  return { microBatch, keepsTapes };
};

describe('the micro-batch', () => {
  it.each([
    [48, 48],
    [64, 64],
    [256, 64],
    [192, 64],
    [200, 50],
    // Too small a divisor would cost more than the caches save.
    [127, 127],
    [134, 134],
  ])('of a share of %i without a setting has %i samples, with tapes', (share, microBatch) => {
    expect(plan(share)).toEqual({ microBatch, keepsTapes: true });
    expect(plan(2 * share, { worldSize: 2 })).toEqual({ microBatch, keepsTapes: true });
  });

  it('is the whole share where that must not be cut', () => {
    expect(plan(4096, { cutsShare: false })).toEqual({ microBatch: 4096, keepsTapes: true });
  });

  it('is at most what the spec says, a divisor of the share, and keeps no tape unless it is all', () => {
    expect(plan(256, { micro: 100 })).toEqual({ microBatch: 64, keepsTapes: false });
    expect(plan(256, { micro: 128, cutsShare: false })).toEqual({ microBatch: 128, keepsTapes: false });
    expect(plan(256, { micro: 256 })).toEqual({ microBatch: 256, keepsTapes: true });
  });
});
