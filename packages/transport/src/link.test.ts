import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { LIMITS, type Link } from '@clipyard/contracts';
import { linkSuite, sampleBytes } from '@clipyard/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES, writeFrameHeader } from './frame.js';
import { memoryLinkPair } from './memory-link.js';
import { TcpLink, type TcpLinkOptions } from './tcp-link.js';

linkSuite('memory', async () => {
  const [a, b] = memoryLinkPair();
  return { a, b, kill: () => b.close(), close: async () => void (await Promise.all([a.close(), b.close()])) };
});

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const a = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[b]] = await Promise.all([once(server, 'connection'), once(a, 'connect')]);
  server.close();
  return [a, b as Socket];
}

for (const kill of ['destroy', 'resetAndDestroy'] as const) {
  linkSuite(`TCP, ${kill}`, async () => {
    const [socketA, socketB] = await socketPair();
    const a = new TcpLink(socketA, { peer: 1 });
    const b = new TcpLink(socketB, { peer: 0 });
    return {
      a,
      b,
      kill: () => void socketB[kill](),
      close: async () => void (await Promise.all([a.close(), b.close()])),
    };
  });
}

describe('TcpLink', () => {
  const links: Link[] = [];
  const sockets: Socket[] = [];
  const open = async (
    options: Partial<TcpLinkOptions> = {},
  ): Promise<{ link: TcpLink; raw: Socket; socket: Socket }> => {
    const [raw, socket] = await socketPair();
    const link = new TcpLink(socket, { peer: 1, ...options });
    links.push(link);
    sockets.push(raw);
    return { link, raw, socket };
  };
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(links.splice(0).map((link) => link.close()));
  });
  const header = (channel: number, frameBytes: number, messageBytes: number) => {
    const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(bytes, { channel, frameBytes, messageBytes });
    return bytes;
  };

  it('reads frames that come byte by byte and alternate between channels', async () => {
    const { link, raw } = await open();
    const one = new Uint8Array(6);
    const two = new Uint8Array(2);
    const received = Promise.all([link.receive(1, one), link.receive(2, two)]);
    const bytes = Buffer.concat([
      ...[header(1, 2, 6), Buffer.from([1, 2])],
      ...[header(2, 2, 2), Buffer.from([7, 8])],
      ...[header(1, 4, 6), Buffer.from([3, 4, 5, 6])],
    ]);
    raw.setNoDelay(true);
    for (const byte of bytes) {
      raw.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await received;
    expect([...one, ...two]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('gives a message that is half there to a receiver that comes late', async () => {
    const { link, raw } = await open();
    raw.write(Buffer.concat([header(1, 3, 5), Buffer.from([1, 2, 3])]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const into = new Uint8Array(5);
    const receiving = link.receive(1, into);
    raw.write(Buffer.concat([header(1, 2, 5), Buffer.from([4, 5])]));
    await receiving;
    expect([...into]).toEqual([1, 2, 3, 4, 5]);
  });

  it.each([
    ['a frame beyond the limit', 1, LIMITS.frameBytes + 1, LIMITS.frameBytes + 1],
    ['a message beyond the limit', 1, 10, LIMITS.messageBytes + 1],
    ['a frame larger than its message', 1, 10, 9],
    ['an empty frame of a message', 1, 0, 9],
  ])('closes at %s', async (_, ...numbers) => {
    const { link, raw } = await open();
    raw.write(header(...numbers));
    expect(await link.closed).toMatchObject({ code: 'frame_invalid' });
    await expect(link.receive(1, new Uint8Array(1))).rejects.toMatchObject({ code: 'link_closed' });
  });

  it('closes when a frame does not fit the message that it continues', async () => {
    const { link, raw } = await open();
    raw.write(Buffer.concat([header(1, 1, 5), Buffer.from([1]), header(1, 4, 6), Buffer.alloc(4)]));
    expect(await link.closed).toMatchObject({ code: 'frame_invalid' });
  });

  it('stops reading at the limit of unclaimed bytes and goes on when they are claimed', async () => {
    const { link, raw } = await open({ unclaimedBytes: 1_000_000 });
    const size = 900_000;
    let written = 0;
    for (let i = 0; i < 40; i++) {
      raw.write(Buffer.concat([header(1, size, size), sampleBytes(size, i)]), () => written++);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    // The kernel holds a few MB on both sides; without the limit all 36 MB would be here.
    expect(written).toBeLessThan(30);
    for (let i = 0; i < 40; i++) {
      const into = new Uint8Array(size);
      await link.receive(1, into);
      expect(Buffer.compare(into, sampleBytes(size, i))).toBe(0);
    }
    expect(written).toBe(40);
  });

  it('takes a message larger than the limit as soon as somebody asks for it', async () => {
    const { link, raw } = await open({ unclaimedBytes: 1000 });
    raw.write(Buffer.concat([header(1, 5000, 5000), sampleBytes(5000, 1)]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const into = new Uint8Array(5000);
    await link.receive(1, into);
    expect(into).toEqual(sampleBytes(5000, 1));
  });

  it('closes when a message is given up half sent, since its receiver could not tell', async () => {
    const { link, raw } = await open();
    raw.pause();
    const controller = new AbortController();
    const sending = link.send(1, new Uint8Array(64 << 20), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(sending).rejects.toThrow('enough');
    expect(await link.closed).toMatchObject({ code: 'link_closed' });
  });

  it('carries shared memory', async () => {
    const { link: a, socket } = await open();
    expect(socket.destroyed).toBe(false);
    const [x, y] = await socketPair();
    const left = new TcpLink(x, { peer: 1 });
    const right = new TcpLink(y, { peer: 0 });
    links.push(a, left, right);
    const shared = new Uint8Array(new SharedArrayBuffer(3_000_000));
    shared.set(sampleBytes(shared.length, 5));
    const into = new Uint8Array(new SharedArrayBuffer(3_000_000));
    await Promise.all([left.send(1, shared), right.receive(1, into)]);
    expect(Buffer.compare(into, shared)).toBe(0);
  });
});
