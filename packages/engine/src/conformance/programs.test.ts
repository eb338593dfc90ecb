import { builtTensorFlow, expectAllClose, expectBitwise, formulaValues } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  attention,
  type Engine,
  l2Normalize,
  linear,
  type Specs,
  type Tensor,
  type TensorFunction,
  tf,
} from '../index.js';
import { testEngines } from './test-engines.js';

const engines = testEngines(builtTensorFlow());

/** A small network with its gradients: enough operations that an order of summing would show. */
const specs: Specs = {
  x: { shape: [64, 32] },
  w: { shape: [48, 32] },
  b: { shape: [48] },
  cotangent: { shape: [64, 48] },
};

const forward = (x: Tensor, w: Tensor, b: Tensor): Tensor => {
  const h = tf.reshape(linear(x, w, b), [4, 16, 48]);
  return l2Normalize(tf.reshape(attention(h, h, h), [64, 48]));
};

const network: TensorFunction = ({ x, w, b, cotangent }) => {
  const { value, grads } = tf.valueAndGrads((w: Tensor, b: Tensor) => tf.sum(tf.mul(forward(x!, w, b), cotangent!)))([
    w!,
    b!,
  ]);
  return { embeddings: forward(x!, w!, b!), loss: value, dw: grads[0]!, db: grads[1]! };
};

const values = {
  x: formulaValues('x', 64 * 32),
  w: formulaValues('w', 48 * 32, 0.3),
  b: formulaValues('b', 48),
  cotangent: formulaValues('cotangent', 64 * 48),
};
const { cotangent, ...early } = values;

describe.each(engines.names)('programs on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());

  it('tell the shapes of their outputs', async () => {
    const program = await engine.compile(network, specs, { name: 'network' });
    expect(program.name).toBe('network');
    expect(Object.fromEntries(Object.entries(program.outputs).map(([key, { shape }]) => [key, shape]))).toEqual({
      embeddings: [64, 48],
      loss: [],
      dw: [48, 32],
      db: [48],
    });
    await program.dispose();
  });

  it('give bitwise the same on a rerun and when compiled again', async () => {
    const program = await engine.compile(network, specs, { name: 'network' });
    const again = await engine.compile(network, specs, { name: 'again' });
    const first = await program.run(values);
    for (const second of [await program.run(values), await program.run(values), await again.run(values)]) {
      for (const output of Object.keys(first)) expectBitwise(second[output]!, first[output]!);
    }
    await program.dispose();
    await again.dispose();
  });

  it('answer with new arrays that later runs leave alone', async () => {
    const program = await engine.compile(({ x }) => ({ y: tf.mul(x!, 2) }), { x: { shape: [3] } }, { name: 'twice' });
    const first = await program.run({ x: Float32Array.of(1, 2, 3) });
    await program.run({ x: Float32Array.of(4, 5, 6) });
    expect(first.y).toEqual(Float32Array.of(2, 4, 6));
    await program.dispose();
  });

  it('write given buffers, of any memory, with the same values', async () => {
    const program = await engine.compile(network, specs, { name: 'network' });
    const expected = await program.run(values);
    // Everything in two views of allocated memory, at offsets, as a flat parameter buffer is used.
    const inputs = engine.allocate('float32', 3 + values.x.length + values.w.length);
    const outputs = engine.allocate('float32', 5 + expected.dw!.length + expected.embeddings!.length);
    const x = inputs.subarray(3, 3 + values.x.length);
    const w = inputs.subarray(3 + values.x.length);
    x.set(values.x);
    w.set(values.w);
    const dw = outputs.subarray(5, 5 + expected.dw!.length);
    const embeddings = outputs.subarray(5 + expected.dw!.length);
    const db = new Float32Array(48 + 2).subarray(1, 49);
    const results = await program.run({ ...values, x, w }, { dw, embeddings, db });
    expect(results.dw).toBe(dw);
    expect(results.db).toBe(db);
    for (const output of ['dw', 'db', 'embeddings', 'loss']) expectBitwise(results[output]!.slice(), expected[output]!);
    expect(Array.from(outputs.subarray(0, 5))).toEqual([0, 0, 0, 0, 0]);
    await program.dispose();
  });

  it('see values that changed in place since the last run', async () => {
    const program = await engine.compile(({ x }) => ({ y: tf.square(x!) }), { x: { shape: [2] } }, { name: 'square' });
    const x = engine.allocate('float32', 2);
    const y = engine.allocate('float32', 2);
    x.set([1, 2]);
    await program.run({ x }, { y });
    expect(Array.from(y)).toEqual([1, 4]);
    x[1] = 5;
    await program.run({ x }, { y });
    expect(Array.from(y)).toEqual([1, 25]);
    await program.dispose();
  });

  it('allocate zeroed memory of either type', () => {
    const floats = engine.allocate('float32', 1000);
    const integers = engine.allocate('int32', 7);
    expect(floats).toBeInstanceOf(Float32Array);
    expect(integers).toBeInstanceOf(Int32Array);
    expect([floats.length, integers.length]).toEqual([1000, 7]);
    expect(floats.every((v) => v === 0) && integers.every((v) => v === 0)).toBe(true);
    expect(engine.allocate('float32', 0).length).toBe(0);
  });

  it('run at the same time without mixing their values', async () => {
    const double = await engine.compile(({ x }) => ({ y: tf.mul(x!, 2) }), { x: { shape: [4] } }, { name: 'double' });
    const triple = await engine.compile(({ x }) => ({ y: tf.mul(x!, 3) }), { x: { shape: [4] } }, { name: 'triple' });
    const results = await Promise.all(
      [1, 2, 3, 4].flatMap((n) => [
        double.run({ x: new Float32Array(4).fill(n) }),
        triple.run({ x: new Float32Array(4).fill(n) }),
      ]),
    );
    expect(results.map(({ y }) => Array.from(y!))).toEqual(
      [1, 2, 3, 4].flatMap((n) => [new Array(4).fill(2 * n), new Array(4).fill(3 * n)]),
    );
    await double.dispose();
    await triple.dispose();
  });

  it('may return an input, one output twice, and a constant', async () => {
    const program = await engine.compile(
      ({ x }) => {
        const y = tf.mul(x!, 2);
        return { same: x!, once: y, twice: y, shaped: tf.reshape(x!, [2, 1]), constant: tf.tensor([7, 8]) };
      },
      { x: { shape: [2] }, unused: { shape: [3] } },
      { name: 'odd outputs' },
    );
    const results = await program.run({ x: Float32Array.of(1, 2), unused: new Float32Array(3) });
    expect(Object.fromEntries(Object.entries(results).map(([key, value]) => [key, Array.from(value)]))).toEqual({
      same: [1, 2],
      once: [2, 4],
      twice: [2, 4],
      shaped: [1, 2],
      constant: [7, 8],
    });
    await program.dispose();
  });
});

describe.each(engines.names)('staged programs on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());

  it('give what the whole program gives, what can be known early in begin', async () => {
    const whole = await engine.compile(network, specs, { name: 'network' });
    const staged = await engine.compileStaged(network, specs, [['cotangent']], { name: 'network' });
    expect(Object.keys(staged.stages[0]!.outputs)).toEqual(['embeddings']);
    expect(Object.keys(staged.stages[1]!.outputs).sort()).toEqual(['db', 'dw', 'loss']);
    const expected = await whole.run(values);
    for (let round = 0; round < 2; round++) {
      const begun = await staged.run(0, early);
      const finished = await staged.run(1, { cotangent });
      expect(Object.keys(begun)).toEqual(['embeddings']);
      for (const [output, array] of Object.entries({ ...begun, ...finished })) {
        expectAllClose(array, expected[output]!, { rtol: 1e-6, atol: 1e-6 });
      }
    }
    // Later late inputs use what `begin` kept.
    const negative = await staged.run(1, { cotangent: cotangent.map((v) => -v) });
    expectAllClose(
      negative.dw!,
      expected.dw!.map((v) => -v),
      { rtol: 1e-6, atol: 1e-6 },
    );
    await whole.dispose();
    await staged.dispose();
  });

  it('write given buffers in both stages', async () => {
    const staged = await engine.compileStaged(network, specs, [['cotangent']], { name: 'network' });
    const embeddings = engine.allocate('float32', 64 * 48);
    const dw = engine.allocate('float32', 48 * 32);
    const db = new Float32Array(48);
    const begun = await staged.run(0, early, { embeddings });
    const finished = await staged.run(1, { cotangent }, { dw, db });
    expect(begun.embeddings).toBe(embeddings);
    expect(finished.dw).toBe(dw);
    expect(finished.db).toBe(db);
    expectBitwise(embeddings.slice(), (await staged.run(0, early)).embeddings as Float32Array);
    const again = await staged.run(1, { cotangent });
    expectBitwise(dw.slice(), again.dw as Float32Array);
    expectBitwise(db, again.db as Float32Array);
    await staged.dispose();
  });

  it('keep what begin kept apart by tape, whatever was begun since', async () => {
    const staged = await engine.compileStaged(network, specs, [['cotangent']], { name: 'network', tapes: 2 });
    const negated = Object.fromEntries(
      Object.entries(early).map(([name, array]) => [name, array.map((v) => -v) as typeof array]),
    );
    const expected = [early, negated].map(async (inputs) => {
      const alone = await engine.compileStaged(network, specs, [['cotangent']], { name: 'network' });
      await alone.run(0, inputs);
      const { dw } = await alone.run(1, { cotangent });
      await alone.dispose();
      return dw as Float32Array;
    });
    await staged.run(0, early, {}, 0);
    await staged.run(0, negated, {}, 1);
    for (const tape of [1, 0, 1]) {
      const { dw } = await staged.run(1, { cotangent }, {}, tape);
      expectBitwise(dw as Float32Array, (await expected[tape])!);
    }
    await staged.dispose();
  });

  it('add to a late input in place', async () => {
    const summed: TensorFunction = ({ sum, ...inputs }) => ({ total: tf.add(sum!, network(inputs).dw!) });
    const withSum = { ...specs, sum: { shape: [48, 32] } };
    const staged = await engine.compileStaged(summed, withSum, [['cotangent', 'sum']], {
      name: 'summed',
      tapes: 2,
      inPlace: { total: 'sum' },
    });
    const once = await engine.compile(network, specs, { name: 'network' });
    const { dw } = await once.run(values);
    const sum = engine.allocate('float32', 48 * 32);
    for (const tape of [0, 1]) await staged.run(0, early, {}, tape);
    for (const tape of [0, 1]) await staged.run(1, { cotangent, sum }, { total: sum }, tape);
    expectAllClose(
      sum,
      (dw as Float32Array).map((v) => 2 * v),
      { rtol: 1e-6, atol: 1e-6 },
    );
    await staged.dispose();
    await once.dispose();
  });

  /** Two layers that take the mean of all rows out, wherever the rows are, and the gradient of the second's cotangent. */
  const layers: TensorFunction = ({ x, w, mean1, mean2, cotangent, sum }) => {
    const h1 = tf.tanh(linear(x!, w!, tf.zeros([48])));
    const y1 = tf.sub(h1, mean1!);
    const h2 = tf.tanh(tf.matMul(y1 as never, w! as never));
    const y2 = tf.sub(h2, mean2!);
    const back = tf.matMul(tf.mul(cotangent!, tf.mul(y2, h2)) as never, w! as never, false, true);
    const dw = tf.matMul(tf.mul(back, tf.sub(h1, mean1!)) as never, x! as never, true);
    return { own1: tf.mean(h1, 0), own2: tf.mean(h2, 0), y2, total: tf.add(sum!, dw) };
  };
  const layerSpecs: Specs = {
    x: { shape: [64, 32] },
    w: { shape: [48, 32] },
    mean1: { shape: [48] },
    mean2: { shape: [32] },
    cotangent: { shape: [64, 32] },
    sum: { shape: [48, 32] },
  };
  const groups = [['mean1'], ['mean2'], ['cotangent', 'sum']];
  const cotangents = formulaValues('cotangents', 64 * 32);
  const stagesOf = async (tapes: number) =>
    engine.compileStaged(layers, layerSpecs, groups, { name: 'layers', tapes, inPlace: { total: 'sum' } });

  it('run in as many stages as inputs arrive in, each tape at its own', async () => {
    const staged = await stagesOf(2);
    expect(staged.stages.map(({ inputs }) => Object.keys(inputs))).toEqual([['x', 'w'], ...groups]);
    expect(staged.stages.map(({ outputs }) => Object.keys(outputs))).toEqual([['own1'], ['own2'], ['y2'], ['total']]);
    const { x, w } = values;
    const halves = [0, 1].map((tape) => ({ x: x.map((v, i) => (tape === 0 ? v : v * Math.cos(i))), w }));
    const sum = engine.allocate('float32', 48 * 32);
    for (let round = 0; round < 2; round++) {
      sum.fill(0);
      const mean = (results: Record<string, ArrayLike<number>>[], name: string): Float32Array =>
        Float32Array.from(results[0]![name]!, (v, i) => (v + results[1]![name]![i]!) / 2);
      const onBoth = async (stage: number, given: (tape: number) => Record<string, Float32Array>) => [
        await staged.run(stage, given(0), {}, 0),
        await staged.run(stage, given(1), {}, 1),
      ];
      const first = await onBoth(0, (tape) => halves[tape]!);
      const mean1 = mean(first, 'own1');
      const second = await onBoth(1, () => ({ mean1 }));
      const mean2 = mean(second, 'own2');
      const third = await onBoth(2, () => ({ mean2 }));
      for (const tape of [0, 1]) await staged.run(3, { cotangent: cotangents, sum }, { total: sum }, tape);

      const whole = await engine.compile(layers, layerSpecs, { name: 'layers' });
      const zero = new Float32Array(48 * 32);
      const expected = new Float32Array(48 * 32);
      for (const tape of [0, 1]) {
        const results = await whole.run({ ...halves[tape]!, mean1, mean2, cotangent: cotangents, sum: zero });
        expectAllClose(first[tape]!.own1!, results.own1!, { rtol: 1e-6, atol: 1e-6 });
        expectAllClose(second[tape]!.own2!, results.own2!, { rtol: 1e-6, atol: 1e-6 });
        expectAllClose(third[tape]!.y2!, results.y2!, { rtol: 1e-6, atol: 1e-6 });
        results.total!.forEach((v, i) => {
          expected[i]! += v;
        });
      }
      expectAllClose(sum, expected, { rtol: 1e-5, atol: 1e-5 });
      await whole.dispose();
    }
    await staged.dispose();
  });

  it('refuse a stage out of turn, and may have one with nothing to do', async () => {
    const fn: TensorFunction = ({ x, y }) => ({ twice: tf.mul(x!, 2), sum: tf.add(x!, y!) });
    const specs = { x: { shape: [2] }, unused: { shape: [1] }, y: { shape: [2] } };
    const staged = await engine.compileStaged(fn, specs, [['unused'], ['y']], { name: 'sum' });
    const x = Float32Array.of(1, 2);
    await expect(staged.run(1, { unused: new Float32Array(1) })).rejects.toThrow(/stage 1 after stage -1/);
    expect((await staged.run(0, { x })).twice).toEqual(Float32Array.of(2, 4));
    await expect(staged.run(2, { y: x })).rejects.toThrow(/stage 2 after stage 0/);
    expect(await staged.run(1, { unused: new Float32Array(1) })).toEqual({});
    expect((await staged.run(2, { y: x })).sum).toEqual(Float32Array.of(2, 4));
    expect((await staged.run(2, { y: Float32Array.of(5, 5) })).sum).toEqual(Float32Array.of(6, 7));
    await staged.dispose();
  });
});
