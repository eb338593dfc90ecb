import { ClipyardError, LIMITS, type Link } from '@clipyard/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleBytes } from './sample-values.js';

export interface LinkPair {
  readonly a: Link;
  readonly b: Link;
  /** The process of `b` vanishes: nothing that `a` is told is orderly. */
  kill(): void | Promise<void>;
  close(): Promise<void>;
}

/** What every Link must do. */
export function linkSuite(name: string, makePair: () => Promise<LinkPair>): void {
  describe(`Link: ${name}`, () => {
    let pair: LinkPair;
    beforeEach(async () => {
      pair = await makePair();
    });
    afterEach(() => pair.close());

    const isClosed = expect.objectContaining({ code: 'link_closed' });
    const received = async (link: Link, channel: number, length: number) => {
      const into = new Uint8Array(length);
      await link.receive(channel, into);
      return into;
    };

    it('keeps the order of messages on a channel, whether the receiver waits or comes late', async () => {
      const { a, b } = pair;
      const early = received(b, 1, 3);
      await a.send(1, sampleBytes(3, 1));
      await a.send(1, sampleBytes(4, 2));
      await a.send(1, sampleBytes(0, 3));
      await a.send(1, sampleBytes(5, 4));
      expect(await early).toEqual(sampleBytes(3, 1));
      expect(await received(b, 1, 4)).toEqual(sampleBytes(4, 2));
      expect(await received(b, 1, 0)).toEqual(sampleBytes(0, 3));
      expect(await received(b, 1, 5)).toEqual(sampleBytes(5, 4));
    });

    it('keeps channels independent of each other', async () => {
      const { a, b } = pair;
      const onTwo = received(b, 2, 10);
      await a.send(1, sampleBytes(10, 1));
      await a.send(2, sampleBytes(10, 2));
      expect(await onTwo).toEqual(sampleBytes(10, 2));
      expect(await received(b, 1, 10)).toEqual(sampleBytes(10, 1));
    });

    it('carries messages of many sizes both ways at once', async () => {
      const { a, b } = pair;
      const sizes = [
        1,
        1000,
        LIMITS.frameBytes - 1,
        LIMITS.frameBytes,
        LIMITS.frameBytes + 1,
        5 * LIMITS.frameBytes + 7,
      ];
      const work: Promise<unknown>[] = [];
      sizes.forEach((size, i) => {
        work.push(a.send(i, sampleBytes(size, i)), b.send(i, sampleBytes(size, i + 100)));
        work.push(received(b, i, size).then((bytes) => expect(Buffer.compare(bytes, sampleBytes(size, i))).toBe(0)));
        work.push(
          received(a, i, size).then((bytes) => expect(Buffer.compare(bytes, sampleBytes(size, i + 100))).toBe(0)),
        );
      });
      await Promise.all(work);
    });

    it('holds what comes before it is asked for', async () => {
      const { a, b } = pair;
      const sent = Array.from({ length: 20 }, (_, i) => a.send(7, sampleBytes(300_000, i)));
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (let i = 0; i < 20; i++) {
        expect(Buffer.compare(await received(b, 7, 300_000), sampleBytes(300_000, i))).toBe(0);
      }
      await Promise.all(sent);
    });

    it('lets the sender reuse its buffer after send', async () => {
      const { a, b } = pair;
      const payload = sampleBytes(2_000_000, 1);
      const receiving = received(b, 1, payload.length);
      await a.send(1, payload);
      payload.fill(0);
      expect(Buffer.compare(await receiving, sampleBytes(2_000_000, 1))).toBe(0);
    });

    it('writes into a view without touching what lies beside it', async () => {
      const { a, b } = pair;
      const buffer = new Uint8Array(30).fill(9);
      await Promise.all([a.send(1, sampleBytes(10, 1)), b.receive(1, buffer.subarray(10, 20))]);
      expect([...buffer.subarray(0, 10), ...buffer.subarray(20)]).toEqual(new Array(20).fill(9));
      expect(buffer.slice(10, 20)).toEqual(sampleBytes(10, 1));
    });

    it.each([
      ['waits', true],
      ['comes late', false],
    ])('refuses a message of another length when the receiver %s', async (_, waits) => {
      const { a, b } = pair;
      const early = waits ? received(b, 1, 5) : undefined;
      early?.catch(() => {});
      await a.send(1, sampleBytes(6, 1)).catch((error) => expect(error).toEqual(isClosed));
      await new Promise((resolve) => setTimeout(resolve, 20));
      await expect(early ?? received(b, 1, 5)).rejects.toMatchObject({ code: 'frame_invalid' });
    });

    it('rejects an aborted receive with the reason, and the next receive gets the message', async () => {
      const { a, b } = pair;
      const controller = new AbortController();
      const waiting = b.receive(1, new Uint8Array(4), { signal: controller.signal });
      const reason = new Error('enough');
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await expect(b.receive(1, new Uint8Array(4), { signal: controller.signal })).rejects.toBe(reason);
      await a.send(1, sampleBytes(4, 1));
      expect(await received(b, 1, 4)).toEqual(sampleBytes(4, 1));
    });

    it('delivers what was sent before an orderly close, then says that it is closed', async () => {
      const { a, b } = pair;
      await a.send(1, sampleBytes(100_000, 1));
      await a.close();
      expect(Buffer.compare(await received(b, 1, 100_000), sampleBytes(100_000, 1))).toBe(0);
      await expect(received(b, 1, 1)).rejects.toEqual(isClosed);
      await b.closed;
      await expect(b.send(1, new Uint8Array(1))).rejects.toEqual(isClosed);
      await expect(a.send(1, new Uint8Array(1))).rejects.toEqual(isClosed);
      await expect(received(a, 1, 1)).rejects.toEqual(isClosed);
    });

    it('rejects everything that waits when the other end vanishes', async () => {
      const { a } = pair;
      const waiting = [received(a, 1, 1), received(a, 2, 1_000_000)].map((promise) =>
        promise.then(
          () => 'fulfilled',
          (error) => (error instanceof ClipyardError ? error.code : error),
        ),
      );
      await pair.kill();
      expect(await Promise.all(waiting)).toEqual(['link_closed', 'link_closed']);
      expect(await a.closed).toBeInstanceOf(Error);
      await expect(a.send(1, new Uint8Array(1))).rejects.toEqual(isClosed);
    });

    it('closes twice without harm', async () => {
      await Promise.all([pair.a.close(), pair.a.close()]);
      await pair.b.close();
      expect(await pair.a.closed).toBeUndefined();
    });
  });
}
