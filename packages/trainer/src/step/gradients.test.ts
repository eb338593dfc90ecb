import type { Engine } from '@clipyard/engine';
import { relativeDifference } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { specSteps } from './test-spec-steps.js';
import { stepEngines } from './test-steps.js';

/**
 * What all else rests on: on any number of ranks, in any number of micro-batches, every parameter's gradient, those of the
 * logit scale and bias among them, is that of the whole batch on one rank, for both losses and every switch of precision.
 */
const BATCH = 12;
const LOSSES = ['clip', 'siglip'] as const;
/**
 * How far all gradients together, and those of one parameter, may be from those of the whole batch, relative to their
 * norm: of the first step where products are rounded, which may fall the other way where sums differ in their last bit,
 * and Adam makes much of little; else of the third, which depends on how the others were stored. A weight that is stored in
 * 16 bits may be rounded the other way, too, which on tensorflow moved all gradients together by 3e-4.
 */
const PRECISIONS: readonly {
  readonly name: string;
  readonly spec: Readonly<Record<string, object>>;
  readonly steps: number;
  readonly all: number;
  readonly each: number;
}[] = [
  { name: 'fp32', spec: {}, steps: 3, all: 3e-5, each: 2e-4 },
  { name: 'compute bf16', spec: { precision: { compute: 'bf16' } }, steps: 1, all: 3e-2, each: 0.1 },
  { name: 'compute fp16', spec: { precision: { compute: 'fp16' } }, steps: 1, all: 6e-3, each: 3e-2 },
  { name: 'textWeights bf16', spec: { precision: { textWeights: 'bf16' } }, steps: 3, all: 2e-3, each: 1e-2 },
  { name: 'textWeights fp16', spec: { precision: { textWeights: 'fp16' } }, steps: 3, all: 5e-4, each: 2e-3 },
  { name: 'momentDtype bf16', spec: { optimizer: { momentDtype: 'bf16' } }, steps: 3, all: 1e-4, each: 2e-4 },
  { name: 'momentDtype fp16', spec: { optimizer: { momentDtype: 'fp16' } }, steps: 3, all: 1e-4, each: 2e-4 },
];
const SPLITS = [1, 2, 4].flatMap((worldSize) => [1, 3].map((microBatches) => ({ worldSize, microBatches }))).slice(1);
const engines = stepEngines();

describe.each(engines.names)('gradients on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name);
  });
  afterAll(() => engine.close());

  describe.each(LOSSES)('of %s', (type) => {
    it.each(PRECISIONS)(
      'with $name are those of one rank and one batch, in every split',
      async ({ spec, steps, all, each }) => {
        const run = (worldSize: number, microBatches: number) =>
          specSteps(engine, {
            spec: { ...spec, loss: { type } },
            batch: BATCH,
            steps,
            worldSize,
            micro: BATCH / worldSize / microBatches,
          });
        const whole = await run(1, 1);
        const names = Object.keys(whole.gradients);
        expect(names).toContain('logit_scale');
        if (type === 'siglip') expect(names).toContain('logit_bias');
        const together = (of: typeof whole.gradients) => Float32Array.from(names.flatMap((name) => [...of[name]!]));
        for (const { worldSize, microBatches } of SPLITS) {
          const { gradients } = await run(worldSize, microBatches);
          const where = `on ${worldSize} ranks, ${microBatches} micro-batches`;
          expect(relativeDifference(together(whole.gradients), together(gradients)), where).toBeLessThan(all);
          for (const name of names)
            expect(relativeDifference(whole.gradients[name]!, gradients[name]!), `${name} ${where}`).toBeLessThan(each);
        }
      },
    );
  });
});
