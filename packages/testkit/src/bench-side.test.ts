import { afterEach, expect, it } from 'vitest';
import { BenchSide, checkLosses, median } from './bench-side.js';

const testkit = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
const sides: BenchSide[] = [];
afterEach(async () => {
  for (const side of sides.splice(0)) await side.close();
});

function side(script: string): BenchSide {
  const made = new BenchSide('a side', process.execPath, ['--input-type=module', '-e', script]);
  sides.push(made);
  return made;
}

it('warms up, then makes as many steps a turn as it is told, and ends when it is closed', async () => {
  const counting = side(`
    import { answerSteps } from ${testkit};
    let steps = 0;
    const observe = () => { const before = steps; return (count) => ({ made: steps - before, count }); };
    await answerSteps({ step: () => ++steps, warmup: 2, started: performance.now(), ready: { more: 1 }, observe });`);
  expect(await counting.ready()).toMatchObject({ losses: [1, 2], more: 1, rssMib: expect.any(Number) });
  expect(() => counting.last).toThrow('a side has had no turn');
  for (const count of [3, 1]) {
    await counting.turn(count);
    expect(counting.last).toMatchObject({ made: count, count });
    expect(counting.last.ms).toHaveLength(count);
  }
  expect(counting.times).toHaveLength(2);
  await counting.close();
});

it('throws when the process of a side has ended', async () => {
  await expect(side('').ready()).rejects.toThrow('a side ended early');
});

it('compares losses, NaN and missing ones included', () => {
  const named = (...losses: number[]) => ({ name: 'x', losses });
  checkLosses('setting', named(4, 2), named(4.00001, 2), 1e-5);
  for (const wrong of [[4.001, 2], [4], [4, Number.NaN]]) {
    expect(() => checkLosses('setting', named(4, 2), named(...wrong), 1e-5)).toThrow('setting: the losses differ');
  }
});

it('takes the median', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
