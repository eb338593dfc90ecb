import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, expect, it } from 'vitest';
import { tf } from '../tfjs.js';
import { OnnxRuntimeEngine } from './onnxruntime-engine.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const engine = new OnnxRuntimeEngine({ threads: 2 });
afterAll(() => engine.close());

it('keeps arrays alive that only a run under way refers to', async () => {
  const length = 1 << 18;
  const program = await engine.compile(
    ({ a }) => ({ sum: tf.add(tf.exp(tf.mul(a!, 0)), a!) }),
    { a: { shape: [length] } },
    { name: 'sum' },
  );
  for (let i = 0; i < 30; i++) {
    const run = program.run({ a: new Float32Array(length).fill(i) });
    collectGarbage();
    new Float32Array(length).fill(-1);
    const { sum } = await run;
    expect([sum![0], sum![length - 1]]).toEqual([i + 1, i + 1]);
  }
  await program.dispose();
});

it('leaves the event loop free during a run', async () => {
  const size = 1024;
  const program = await engine.compile(
    ({ a }) => ({ product: tf.matMul(tf.matMul(a as never, a as never), tf.matMul(a as never, a as never)) }),
    { a: { shape: [size, size] } },
    { name: 'products' },
  );
  const a = engine.allocate('float32', size * size).fill(1e-3);
  await program.run({ a });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const start = performance.now();
  await program.run({ a });
  const elapsed = performance.now() - start;
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(elapsed / 20);
  await program.dispose();
});

it('ends a run that is under way when it is closed', async () => {
  const closing = new OnnxRuntimeEngine({ threads: 1 });
  const size = 512;
  const program = await closing.compile(
    ({ a }) => {
      let x = a!;
      for (let i = 0; i < 400; i++) x = tf.matMul(x as never, a as never);
      return { x };
    },
    { a: { shape: [size, size] } },
    { name: 'many products' },
  );
  const run = program.run({ a: closing.allocate('float32', size * size) });
  const ended = expect(run).rejects.toMatchObject({
    code: 'engine_failed',
    message: expect.stringContaining('closed'),
  });
  await closing.close();
  await ended;
  await expect(program.run({ a: new Float32Array(size * size) })).rejects.toThrow('closed');
});

it('programs of the same structure share a session, which lives as long as any of them', async () => {
  const reports: boolean[] = [];
  const sharing = new OnnxRuntimeEngine({ threads: 1, onCompile: ({ reused }) => reports.push(reused) });
  const compile = (name: string, factor: number) =>
    sharing.compile(({ x }) => ({ y: tf.mul(x!, factor) }), { x: { shape: [3] } }, { name });
  const first = await compile('first', 2);
  const second = await compile('second', 2);
  const other = await compile('other', 3);
  expect(reports).toEqual([false, true, false]);
  const x = Float32Array.of(1, 2, 3);
  expect(await first.run({ x })).toEqual({ y: Float32Array.of(2, 4, 6) });
  await first.dispose();
  await first.dispose();
  expect(await second.run({ x })).toEqual({ y: Float32Array.of(2, 4, 6) });
  expect(await other.run({ x })).toEqual({ y: Float32Array.of(3, 6, 9) });
  await second.dispose();
  await expect(second.run({ x })).rejects.toThrow('disposed');
  await sharing.close();
});
