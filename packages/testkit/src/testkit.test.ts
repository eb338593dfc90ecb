import { describe, expect, it } from 'vitest';
import { allclose, expectAllClose } from './allclose.js';
import { fakeClock } from './fake-clock.js';
import { groupSuite } from './group-suite.js';
import { referenceGroups } from './reference-group.js';

groupSuite('in one process', async (worldSize) => {
  const groups = referenceGroups(worldSize);
  return {
    groups,
    kill: (rank) => groups[rank]!.close(),
    close: async () => void (await Promise.all(groups.map((group) => group.close()))),
  };
});

describe('referenceGroups', () => {
  it('notices that ranks call different operations', async () => {
    const [a, b] = referenceGroups(2);
    a!.barrier().catch(() => {});
    await expect(b!.allReduce(new Float32Array(1), 'sum')).rejects.toThrow(/others barrier/);
  });
});

describe('allclose', () => {
  it('takes a relative and an absolute tolerance, and lets neither NaN nor another length pass', () => {
    expect(allclose([100.0001], [100], { rtol: 1e-5 })).toBe(true);
    expect(allclose([100.01], [100], { rtol: 1e-5 })).toBe(false);
    expect(allclose([1e-9, Infinity], [0, Infinity])).toBe(true);
    expect(allclose([Number.NaN], [Number.NaN])).toBe(false);
    expect(allclose([Number.NaN, 1], [1, 1])).toBe(false);
    expect(allclose([1], [Infinity])).toBe(false);
    expect(allclose([1, 2], [1])).toBe(false);
    expect(() => expectAllClose([1, 2, 9, 4], [1, 2, 3, 4])).toThrow('element 2 of 4 is 9, expected 3');
  });
});

describe('fakeClock', () => {
  it('wakes sleepers in order, also those that sleep again', async () => {
    const clock = fakeClock(1000);
    const woken: number[] = [];
    void (async () => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(10);
        woken.push(clock.now());
      }
    })();
    void clock.sleep(15).then(() => woken.push(-clock.now()));
    await clock.advance(25);
    expect(woken).toEqual([1010, -1015, 1020]);
    expect(clock.now()).toBe(1025);
  });

  it('rejects an aborted sleep', async () => {
    const controller = new AbortController();
    const sleeping = fakeClock().sleep(5, { signal: controller.signal });
    controller.abort(new Error('stop'));
    await expect(sleeping).rejects.toThrow('stop');
  });
});
