import { readFileSync } from 'node:fs';
import { type Engine, openEngine } from '@clipyard/engine';
import { storedFloats } from '@clipyard/tensor';
import { expectAllClose, expectBitwise, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AdamW,
  type AdamWOptions,
  type AdamWScalars,
  type AdamWStep,
  adamwScalars,
  compileAdamW,
} from './adamw.js';

/** Stored values of torch.optim.AdamW, made by scripts/reference/make_optim_fixture.py. */
const fixture = JSON.parse(readFileSync(new URL('./fixtures/optim-torch.json', import.meta.url), 'utf8')).adamw as {
  length: number;
  decayed: number;
  betas: [number, number];
  eps: number;
  weightDecay: number;
  lrs: number[];
  params: number[][];
  m: number[];
  v: number[];
};

interface State {
  param: Float32Array;
  m: Float32Array;
  v: Float32Array;
}

/** One update of moments that are kept as they are. */
function update(optimizer: AdamW, { m, v, ...step }: State & Omit<AdamWStep, 'moments' | 'from'>): Promise<void> {
  const kept = (values: Float32Array) => storedFloats('fp32', values.length, () => values);
  return optimizer.step({ ...step, moments: { m: kept(m), v: kept(v), seed: 0, offset: 0 }, from: 0 });
}

/** Trains with the fixture's gradients, the slice [begin, begin + length); returns the state after every step. */
async function train(engine: Engine, steps: number, begin = 0, length = fixture.length): Promise<State[]> {
  const { betas, eps, weightDecay, decayed } = fixture;
  const end = begin + length;
  const cut = Math.min(end, Math.max(begin, decayed));
  const parts = [
    { from: begin, to: cut, weightDecay },
    { from: cut, to: end, weightDecay: 0 },
  ].filter(({ from, to }) => from < to);
  const optimizers = await Promise.all(
    parts.map(({ from, to, weightDecay }) => compileAdamW(engine, { length: to - from, betas, eps, weightDecay })),
  );
  const states: State[] = [];
  const state: State = {
    param: formulaValues('adamw.param', fixture.length).slice(begin, end),
    m: new Float32Array(length),
    v: new Float32Array(length),
  };
  for (let step = 0; step < steps; step++) {
    const grad = formulaValues(`adamw.grad.${step}`, fixture.length, 10 ** -(step % 9)).slice(begin, end);
    for (const [i, { from, to }] of parts.entries()) {
      const part = (values: Float32Array) => values.subarray(from - begin, to - begin);
      const arrays = { param: part(state.param), grad: part(grad), m: part(state.m), v: part(state.v) };
      await update(optimizers[i]!, { ...arrays, lr: fixture.lrs[step]!, step: step + 1 });
    }
    states.push({ param: state.param.slice(), m: state.m.slice(), v: state.v.slice() });
  }
  for (const optimizer of optimizers) await optimizer.dispose();
  return states;
}

/** Element i in float32, its moments left to fade. */
function updatePlainly(
  { param, m, v }: State,
  grad: Float32Array,
  i: number,
  betas: { beta1: number; beta2: number },
  scalars: AdamWScalars<number>,
): void {
  const f = Math.fround;
  const [beta1, beta2, gradFactor, squareFactor, stepSize, eps] = [
    ...[betas.beta1, betas.beta2, scalars.gradFactor, scalars.squareFactor, scalars.stepSize, scalars.eps],
  ].map(f) as [number, number, number, number, number, number];
  m[i] = f(f(m[i]! * beta1) + f(grad[i]! * gradFactor));
  v[i] = f(f(v[i]! * beta2) + f(f(grad[i]! * squareFactor) * grad[i]!));
  param[i] = param[i]! - f(f(m[i]! * stepSize) / f(f(Math.sqrt(v[i]!)) + eps));
}

describe.each(['onnxruntime', 'cpu'] as const)('AdamW on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: name, threads: 2 });
  });
  afterAll(() => engine.close());

  it('equals PyTorch over ten steps', async () => {
    const states = await train(engine, 10);
    states.forEach(({ param }, step) => void expectAllClose(param, fixture.params[step]!, { rtol: 2e-6, atol: 2e-7 }));
    expectAllClose(states[9]!.m, fixture.m, { rtol: 1e-5, atol: 1e-9 });
    expectAllClose(states[9]!.v, fixture.v, { rtol: 1e-5, atol: 1e-12 });
  });

  it('equals two steps by hand', async () => {
    const options: AdamWOptions = { betas: [0.5, 0.75], eps: 0.5, weightDecay: 0.1 };
    const optimizer = await compileAdamW(engine, { ...options, length: 2 });
    const state = { param: Float32Array.of(1, 1), m: new Float32Array(2), v: new Float32Array(2) };
    // Bias corrections 1/2 and 1/4: m = 1, v = 1, m^ = 2, v^ = 4, so the step is 1 · 2 / (2 + 0.5).
    await update(optimizer, { ...state, grad: Float32Array.of(2, 2), lr: 1, step: 1 });
    expectAllClose(state.param, [1 - 0.1 - 0.8, 1 - 0.1 - 0.8], { rtol: 1e-6 });
    expectAllClose(state.m, [1, 1]);
    expectAllClose(state.v, [1, 1]);
    // m = 0.5, v = 0.75, corrections 3/4 and 7/16: the step is 0.5 · (2/3) / (√(12/7) + 0.5).
    await update(optimizer, { ...state, grad: Float32Array.of(0, 0), lr: 0.5, step: 2 });
    const step = (0.5 * (2 / 3)) / (Math.sqrt(12 / 7) + 0.5);
    expectAllClose(state.param, [0.1 * 0.95 - step, 0.1 * 0.95 - step], { rtol: 1e-5 });
    await optimizer.dispose();
  });

  it.each(
    [
      [0, 48],
      [0, 24, 48],
      [0, 12, 24, 36, 48],
      [0, 7, 24, 25, 48],
    ].map((cuts) => ({ cuts })),
  )('gives in slices cut at $cuts bitwise what it gives in one', async ({ cuts }) => {
    const whole = (await train(engine, 4)).at(-1)!;
    for (const [i, begin] of cuts.slice(0, -1).entries()) {
      const slice = (await train(engine, 4, begin, cuts[i + 1]! - begin)).at(-1)!;
      for (const part of ['param', 'm', 'v'] as const)
        expectBitwise(slice[part], whole[part].slice(begin, cuts[i + 1]));
    }
  });

  it('gives in pieces, of a slice too long for one run, bitwise what it gives alone', async () => {
    const length = 2 ** 18 + 1000;
    const options = { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2 } as const;
    const state = (from: number, to: number) => ({
      param: formulaValues('param', length).slice(from, to),
      m: formulaValues('m', length).slice(from, to),
      v: formulaValues('v', length, 0.5, 0.5).slice(from, to),
    });
    const grad = formulaValues('grad', length);
    const whole = state(0, length);
    const optimizer = await compileAdamW(engine, { ...options, length });
    await update(optimizer, { ...whole, grad, lr: 0.1, step: 3 });
    const [from, to] = [2 ** 18 - 24, 2 ** 18 + 24];
    const part = state(from, to);
    const short = await compileAdamW(engine, { ...options, length: to - from });
    await update(short, { ...part, grad: grad.subarray(from, to), lr: 0.1, step: 3 });
    for (const name of ['param', 'm', 'v'] as const) expectBitwise(whole[name].slice(from, to), part[name]);
    await optimizer.dispose();
    await short.dispose();
  });

  it('lets moments that have no gradients any more end at 0, and never at subnormal numbers', async () => {
    const [length, lr, eps, steps] = [16, 1e-3, 1e-6, 1600];
    const [beta1, beta2] = [0.9, 0.95];
    const optimizer = await compileAdamW(engine, { betas: [beta1, beta2], eps, weightDecay: 0, length });
    const state = () => ({
      param: formulaValues('p', length),
      m: new Float32Array(length),
      v: new Float32Array(length),
    });
    const [ours, plain] = [state(), state()];
    const grad = formulaValues('g', length, 1e-3);
    const subnormal = (x: number): boolean => x !== 0 && Math.abs(x) < 2 ** -126;
    for (let step = 1; step <= steps; step++) {
      await update(optimizer, { ...ours, grad, lr, step });
      const scalars = adamwScalars({ betas: [beta1, beta2], eps, weightDecay: 0 }, { lr, step });
      for (let i = 0; i < length; i++) updatePlainly(plain, grad, i, { beta1, beta2 }, scalars);
      expect([...ours.m, ...ours.v].filter(subnormal)).toEqual([]);
      grad.fill(0, 0, length / 2);
    }
    expect([...plain.m].filter(subnormal)).toHaveLength(length / 2);
    expect([...ours.m, ...ours.v].map((x) => x !== 0)).toEqual(
      [...plain.m, ...plain.v].map((_, i) => i % length >= length / 2),
    );
    expectBitwise(ours.param, plain.param);
    expectBitwise(ours.m.slice(length / 2), plain.m.slice(length / 2));
    await optimizer.dispose();
  });

  it('multiplies the gradient by gradScale', async () => {
    const optimizer = await compileAdamW(engine, { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0, length: 8 });
    const state = () => ({ param: formulaValues('p', 8), m: new Float32Array(8), v: new Float32Array(8) });
    const grad = formulaValues('g', 8);
    const [scaled, plain] = [state(), state()];
    await update(optimizer, { ...scaled, grad, gradScale: 0.25, lr: 0.1, step: 1 });
    await update(optimizer, { ...plain, grad: grad.map((g) => g / 4), lr: 0.1, step: 1 });
    expectBitwise(scaled.m, plain.m);
    expectBitwise(scaled.param, plain.param);
    await optimizer.dispose();
  });
});

it('counts steps from 1', () => {
  const options = { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2 } as const;
  expect(() => adamwScalars(options, { lr: 1, step: 0 })).toThrow('from 1');
  const { stepSize, eps, shrink } = adamwScalars(options, { lr: 1, step: 1 });
  expect([stepSize, eps * 1e6, shrink].map((x) => x.toFixed(9))).toEqual(['1.414213562', '0.141421356', '0.800000000']);
});

describe('moments of 16 bits', () => {
  it.each(['bf16', 'fp16'] as const)('in %s lead to nearly the same weights, the same in slices', async (storage) => {
    const engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
    const [length, steps] = [64, 200];
    const options = { betas: [0.9, 0.98], eps: 1e-8, weightDecay: 0 } as const;
    const run = async (of: 'fp32' | 'bf16' | 'fp16', from: number, to: number) => {
      const optimizer = await compileAdamW(engine, { ...options, length: to - from });
      const param = formulaValues('p', length).slice(from, to);
      const moments = { m: storedFloats(of, to - from), v: storedFloats(of, to - from), seed: 3, offset: from };
      for (let step = 1; step <= steps; step++) {
        // Far below what fp16 holds, when squared.
        const grad = formulaValues(`g${step}`, length, 1e-4).slice(from, to);
        await optimizer.step({ param, grad, moments, from: 0, lr: 1e-3, step });
      }
      await optimizer.dispose();
      return param;
    };
    const exact = await run('fp32', 0, length);
    const half = await run(storage, 0, length);
    const travelled = exact.map((w, i) => w - formulaValues('p', length)[i]!);
    const norm = (values: Float32Array) => Math.hypot(...values);
    expect(norm(half.map((w, i) => w - exact[i]!)) / norm(travelled)).toBeLessThan(0.03);
    for (const [from, to] of [
      [0, 16],
      [16, 64],
    ] as const)
      expectBitwise(await run(storage, from, to), half.slice(from, to));
    await engine.close();
  });
});

it('keeps an average of the weights', async () => {
  const engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  const optimizer = await compileAdamW(engine, {
    betas: [0.9, 0.98],
    eps: 1e-6,
    weightDecay: 0.2,
    length: 32,
    averages: true,
  });
  const state = { param: formulaValues('p', 32), m: new Float32Array(32), v: new Float32Array(32) };
  const values = state.param.slice();
  const expected = [...values];
  for (let step = 1; step <= 5; step++) {
    const decay = 0.5 + step / 20;
    const average = { values, decay };
    await update(optimizer, { ...state, grad: formulaValues(`g${step}`, 32), average, lr: 0.1, step });
    for (let i = 0; i < 32; i++) expected[i] = decay * expected[i]! + (1 - decay) * state.param[i]!;
  }
  expectAllClose(values, expected, { rtol: 1e-5, atol: 1e-6 });
  await engine.close();
});
