import { describe, expect, it } from 'vitest';
import { minimizeLbfgs, type Objective } from './lbfgs.js';

/** Chained Rosenbrock: its minimum, 0, is at all ones. */
const rosenbrock: Objective = async (x, gradient) => {
  let value = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const a = x[i + 1]! - x[i]! ** 2;
    const b = 1 - x[i]!;
    value += 100 * a * a + b * b;
    gradient[i]! += -400 * a * x[i]! - 2 * b;
    gradient[i + 1]! += 200 * a;
  }
  return value;
};

describe('L-BFGS', () => {
  it.each([2, 10, 50])('finds the minimum of a curved valley in %i dimensions', async (length) => {
    const start = new Float64Array(length).map((_, i) => (i % 2 === 0 ? -1.2 : 1));
    const { x, value, end, evaluations } = await minimizeLbfgs(rosenbrock, start, { gradientTolerance: 1e-9 });
    expect(value).toBeLessThan(1e-12);
    for (const component of x) expect(component).toBeCloseTo(1, 5);
    expect(['gradient', 'value']).toContain(end);
    expect(evaluations).toBeLessThan(500);
    expect(start[0]).toBe(-1.2);
  });

  it('solves a quadratic whose curvatures lie six decades apart', async () => {
    const curvatures = Float64Array.from({ length: 7 }, (_, i) => 10 ** (i - 3));
    const { x } = await minimizeLbfgs(
      async (at, gradient) => {
        let value = 0;
        at.forEach((component, i) => {
          gradient[i] = curvatures[i]! * (component - i);
          value += (curvatures[i]! * (component - i) ** 2) / 2;
        });
        return value;
      },
      new Float64Array(7),
      { gradientTolerance: 1e-10, valueTolerance: 0 },
    );
    x.forEach((component, i) => {
      expect(component).toBeCloseTo(i, 5);
    });
  });

  it('steps back from where the function is no number, and says why it ended', async () => {
    const barrier: Objective = async (x, gradient) => {
      gradient[0] = 1 - 1 / x[0]!;
      return x[0]! - Math.log(x[0]!);
    };
    const { x, end } = await minimizeLbfgs(barrier, Float64Array.of(30), { gradientTolerance: 1e-10 });
    expect(x[0]).toBeCloseTo(1, 6);
    expect(end).toMatch(/gradient|value/);
    expect(await minimizeLbfgs(rosenbrock, Float64Array.of(-1.2, 1), { maxIterations: 3 })).toMatchObject({
      end: 'iterations',
      iterations: 3,
    });
    expect(await minimizeLbfgs(rosenbrock, Float64Array.of(1, 1))).toMatchObject({ end: 'gradient', iterations: 0 });
    // A gradient that leads upward.
    const wrong: Objective = async (x, gradient) => {
      gradient[0] = -2 * x[0]!;
      return x[0]! ** 2;
    };
    expect(await minimizeLbfgs(wrong, Float64Array.of(1))).toMatchObject({ end: 'stuck', value: 1 });
  });
});
