import { ClipyardError } from '@clipyard/contracts';
import { builtTensorFlow } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, openEngine, tf } from '../index.js';
import { testEngines } from './test-engines.js';

const engines = testEngines(builtTensorFlow());

const failure = async (promise: Promise<unknown>): Promise<ClipyardError> => {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ClipyardError);
  return error as ClipyardError;
};

const RECORDING = engines.names.filter((name) => name !== 'cpu');

describe.each(RECORDING)('compiling on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 2);
  });
  afterAll(() => engine.close());
  const x = { x: { shape: [3] } };

  it('names the program and the operation that it does not know', async () => {
    const error = await failure(engine.compile(({ x }) => ({ y: tf.cumsum(x!) }), x, { name: 'running total' }));
    expect(error.code).toBe('engine_unsupported');
    expect(error.message).toContain('running total');
    expect(error.message).toContain('Cumsum');
  });

  it('refuses to read a value that is not known yet, naming the program', async () => {
    const error = await failure(
      engine.compile(({ x }) => ({ y: x!.dataSync()[0]! > 0 ? x! : tf.neg(x!) }), x, { name: 'peeks' }),
    );
    expect(error.code).toBe('engine_unsupported');
    expect(error.message).toContain('read the value');
    expect(error.message).toContain('peeks');
  });

  it('refuses a tensor from outside, naming the program', async () => {
    const outside = tf.tensor([1, 2, 3]);
    const error = await failure(engine.compile(({ x }) => ({ y: tf.add(x!, outside) }), x, { name: 'borrows' }));
    expect(error.code).toBe('engine_unsupported');
    expect(error.message).toContain('from outside');
    expect(error.message).toContain('borrows');
    outside.dispose();
  });

  it('passes on what tfjs says about shapes', async () => {
    const error = await failure(
      engine.compile(({ x }) => ({ y: tf.add(x!, tf.tensor([1, 2])) }), x, { name: 'crooked' }),
    );
    expect(error.message).toContain('crooked');
    expect(error.message).toContain('broadcast');
  });

  it('works again after each of these', async () => {
    const program = await engine.compile(({ x }) => ({ y: tf.mul(x!, 2) }), x, { name: 'double' });
    expect((await program.run({ x: Float32Array.of(1, 2, 3) })).y).toEqual(Float32Array.of(2, 4, 6));
    await program.dispose();
  });
});

describe.each(engines.names)('running on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 1);
  });
  afterAll(() => engine.close());

  it('refuses missing inputs and those of another length, naming program and input', async () => {
    const program = await engine.compile(
      ({ x, y }) => ({ z: tf.add(x!, y!) }),
      { x: { shape: [2, 3] }, y: { shape: [3] } },
      { name: 'sum' },
    );
    const y = new Float32Array(3);
    for (const given of [{ y }, { x: new Float32Array(5), y }]) {
      const error = await failure(program.run(given as never));
      expect(error.code).toBe('engine_failed');
      expect(error.message).toContain('sum');
      expect(error.message).toContain('`x`');
      expect(error.message).toContain('2,3');
    }
    await program.dispose();
  });

  it('refuses an output of another length, naming program and output', async () => {
    const program = await engine.compile(({ x }) => ({ z: tf.neg(x!) }), { x: { shape: [4] } }, { name: 'negative' });
    for (const z of [new Float32Array(3), new Float32Array(5), engine.allocate('float32', 3)]) {
      const error = await failure(program.run({ x: new Float32Array(4) }, { z }));
      expect(error.code).toBe('engine_failed');
      expect(error.message).toContain('negative');
      expect(error.message).toContain('`z`');
    }
    await program.dispose();
  });
});

it.each(RECORDING)('a closed %s engine says so', async (name) => {
  const engine = await engines.open(name, 1);
  const program = await engine.compile(({ x }) => ({ y: tf.neg(x!) }), { x: { shape: [1] } }, { name: 'late' });
  await engine.close();
  const error = await failure(program.run({ x: Float32Array.of(1) }));
  expect(error.code).toBe('engine_failed');
  expect(error.message).toContain('closed');
  await engine.close();
});

it('an engine that was not built is named, with the command that builds it', async () => {
  const error = await failure(openEngine({ engine: 'tensorflow', enginesDir: '/nowhere' }));
  expect(error.code).toBe('engine_unavailable');
  expect(error.message).toMatch(/not been built .*\/nowhere.*clipyard engines build tensorflow/);
});

it('without a GPU, auto takes onnxruntime', async () => {
  for (const options of [{}, { enginesDir: '/nowhere' }]) {
    const engine = await openEngine({ engine: 'auto', ...options });
    expect(engine.name).toBe('onnxruntime');
    await engine.close();
  }
});
