import { describe, expect, it } from 'vitest';
import { backoff } from './backoff.js';
import { retry } from './retry.js';
import { sleep } from './sleep.js';
import { abortable, withTimeout } from './timeout.js';

describe('sleep', () => {
  it('rejects with the reason as soon as the signal aborts, or at once', async () => {
    const controller = new AbortController();
    const sleeping = sleep(60_000, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect(sleep(0, { signal: controller.signal })).rejects.toThrow('enough');
  });
});

describe('backoff', () => {
  it('grows by the factor up to the maximum and begins again after a reset', () => {
    const delays = backoff({ initialMs: 100, maxMs: 500, factor: 2, jitter: 0 });
    expect([delays.next(), delays.next(), delays.next(), delays.next(), delays.next()]).toEqual([
      100, 200, 400, 500, 500,
    ]);
    delays.reset();
    expect(delays.next()).toBe(100);
  });

  it('takes at most the random share off a delay', () => {
    const shortest = backoff({ initialMs: 100, maxMs: 500, jitter: 0.5, random: () => 1 });
    expect(shortest.next()).toBe(50);
  });
});

describe('retry', () => {
  const quick = { initialMs: 1, maxMs: 2 };

  it('tries until it succeeds', async () => {
    let calls = 0;
    const result = await retry(
      async () => {
        if (++calls < 3) throw new Error('not yet');
        return calls;
      },
      { backoff: quick, shouldRetry: () => true },
    );
    expect(result).toBe(3);
  });

  it('gives up when the error is not to be retried, and when it is aborted', async () => {
    const fail = () => Promise.reject(new Error('no'));
    await expect(retry(fail, { backoff: quick, shouldRetry: (_, attempts) => attempts < 2 })).rejects.toThrow('no');
    const signal = AbortSignal.abort(new Error('stop'));
    await expect(retry(fail, { backoff: quick, shouldRetry: () => true, signal })).rejects.toThrow('stop');
  });
});

describe('withTimeout', () => {
  it('aborts with its error when the time is up', async () => {
    const timeout = withTimeout(undefined, 5, () => new Error('late'));
    await expect(sleep(60_000, { signal: timeout.signal })).rejects.toThrow('late');
  });

  it('follows the outer signal and stays quiet once cleared', async () => {
    const outer = new AbortController();
    const timeout = withTimeout(outer.signal, 60_000, () => new Error('late'));
    const cleared = withTimeout(outer.signal, 1, () => new Error('late'));
    cleared.clear();
    await sleep(5);
    outer.abort(new Error('outer'));
    expect(timeout.signal.reason).toEqual(new Error('outer'));
    expect(cleared.signal.aborted).toBe(false);
  });
});

describe('abortable', () => {
  it('settles with whichever comes first', async () => {
    const controller = new AbortController();
    await expect(abortable(Promise.resolve(1), controller.signal)).resolves.toBe(1);
    const waiting = abortable(new Promise(() => {}), controller.signal);
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
  });
});
