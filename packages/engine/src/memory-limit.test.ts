import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { isOutOfMemory } from './memory-limit.js';
import { OnnxRuntimeEngine } from './onnxruntime/onnxruntime-engine.js';
import { tf } from './tfjs.js';

const engine = new OnnxRuntimeEngine({ threads: 1 });
afterAll(() => engine.close());

describe('a program that needs more memory than there is', () => {
  it('is refused with its name, its need and what to do', async () => {
    const side = 4_000_000;
    const compiling = engine.compile(
      ({ a, b }) => ({ sum: tf.sum(tf.matMul(a as never, b as never)) }),
      { a: { shape: [side, 1] }, b: { shape: [1, side] } },
      { name: 'outer product' },
    );
    await expect(compiling).rejects.toMatchObject({
      code: 'engine_out_of_memory',
      message: expect.stringMatching(/`outer product` needs up to 59604\.7 GiB .* Lower batch\.micro/),
    });
  });

  it.runIf(process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0)(
    'is told when an allocation fails during the run',
    () => {
      const script = `
        import { spawnSync } from 'node:child_process';
        import { readFileSync } from 'node:fs';
        import { openEngine, tf } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
        const engine = await openEngine({ engine: 'onnxruntime' });
        const program = await engine.compile(
          ({ a, b }) => ({ sum: tf.sum(tf.matMul(a, b)) }),
          { a: { shape: [24_000, 1] }, b: { shape: [1, 24_000] } },
          { name: 'outer product' },
        );
        // From here on one GiB more, and the product alone takes two.
        const bytes = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * 4096 + 2 ** 30;
        spawnSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes]);
        const a = new Float32Array(24_000);
        const error = await program.run({ a, b: a }).catch((caught) => caught);
        console.log(error.code, error.message);
        await engine.close();`;
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      expect(stdout).toMatch(/^engine_out_of_memory `outer product` needs up to 2\.1 GiB/);
    },
  );

  it('is told by what the runtimes say of a failed allocation', () => {
    for (const message of [
      'Failed to allocate memory for requested buffer of size 64000000000000',
      'std::bad_alloc',
      'Array buffer allocation failed',
      'OOM when allocating tensor with shape[4000000,4000000]',
    ]) {
      expect(isOutOfMemory(message)).toBe(true);
    }
    expect(isOutOfMemory('Non-zero status code returned while running Gemm node')).toBe(false);
  });
});
