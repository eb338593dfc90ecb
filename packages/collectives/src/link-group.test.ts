import { ClipyardError, type Link } from '@clipyard/contracts';
import { describe, expect, it, vi } from 'vitest';
import { createGroup } from './link-group.js';

/** A link whose other end never says anything. */
function silentLink(peer: number): Link & { isClosed: boolean } {
  const waiting: ((error: Error) => void)[] = [];
  return {
    peer,
    isClosed: false,
    closed: new Promise(() => {}),
    send: async () => {},
    receive: (_channel, _into, { signal } = {}) =>
      new Promise((_, reject) => {
        waiting.push(reject);
        signal?.addEventListener('abort', () => reject(signal.reason));
      }),
    async close() {
      this.isClosed = true;
      for (const reject of waiting) reject(new ClipyardError('link_closed', 'closed'));
    },
  };
}

describe('LinkGroup', () => {
  it('says which call waits for whom', async () => {
    const group = createGroup([silentLink(0), silentLink(2)], { rank: 1, worldSize: 3 });
    expect(group.waiting).toBeUndefined();
    const first = group.broadcast(new Float32Array(3), 2);
    const second = group.barrier();
    expect(group.waiting).toBe('call 0, broadcast of 3 from rank 2, waiting for rank 2');
    await group.close();
    await expect(first).rejects.toMatchObject({ code: 'link_closed' });
    await expect(second).rejects.toMatchObject({ code: 'link_closed' });
    expect(group.waiting).toBeUndefined();
  });

  it('fails a call after its time limit, naming the ranks, and closes every link', async () => {
    const links = [silentLink(0), silentLink(1)];
    const group = createGroup(links, { rank: 2, worldSize: 3, timeoutMs: 10 });
    await expect(group.allReduce(new Float32Array(4), 'sum')).rejects.toMatchObject({
      code: 'link_timeout',
      message: expect.stringContaining('rank 0, 1'),
    });
    expect(links.every(({ isClosed }) => isClosed)).toBe(true);
    await expect(group.barrier()).rejects.toMatchObject({ code: 'link_closed' });
  });

  it('copies nothing for one rank whose input and output are the same memory, and else gives the input', async () => {
    const group = createGroup([], { rank: 0, worldSize: 1 });
    const values = Float32Array.of(1, -0, Number.NaN, 4);
    const other = new Float32Array(4);
    const set = vi.spyOn(Object.getPrototypeOf(Float32Array.prototype) as Float32Array, 'set');
    try {
      const again = new Float32Array(values.buffer);
      await group.reduceScatter(values, again);
      await group.allGather(values, again);
      await group.allReduce(values, 'sum');
      expect(set).not.toHaveBeenCalled();
    } finally {
      set.mockRestore();
    }
    await group.reduceScatter(values, other);
    expect(other).toEqual(values);
    await group.allGather(values, other.fill(0));
    expect(other).toEqual(values);
  });

  it('needs one link to each other rank', () => {
    expect(() => createGroup([silentLink(1)], { rank: 0, worldSize: 3 })).toThrow();
    expect(() => createGroup([silentLink(0)], { rank: 0, worldSize: 2 })).toThrow();
  });
});
