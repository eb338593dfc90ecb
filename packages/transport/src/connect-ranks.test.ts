import { once } from 'node:events';
import { connect } from 'node:net';
import type { Link, PeerAddress } from '@clipyard/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { connectRanks } from './connect-ranks.js';
import type { Identity } from './handshake.js';
import { TcpListener } from './tcp-listener.js';

const SECRET = Buffer.alloc(32, 7).toString('base64url');
const identity = (rank: number, worldSize: number): Identity => ({
  jobId: 'job-1',
  epoch: 3,
  rank,
  worldSize,
  secret: SECRET,
});

describe('connectRanks', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
  });
  const listen = async (count: number) => {
    const listeners = await Promise.all(Array.from({ length: count }, () => TcpListener.listen({ host: '127.0.0.1' })));
    open.push(...listeners);
    const peers = listeners.map(({ port }, rank): PeerAddress => ({ rank, host: '127.0.0.1', port }));
    return { listeners, peers };
  };
  const keep = (links: Link[]) => {
    open.push(...links);
    return links;
  };
  const greet = async (links: Link[], rank: number) => {
    await Promise.all(links.map((link) => link.send(0, Uint8Array.of(rank))));
    for (const link of links) {
      const into = new Uint8Array(1);
      await link.receive(0, into);
      expect(into[0]).toBe(link.peer);
    }
  };

  it('connects every rank with every other, whichever comes first', async () => {
    const { listeners, peers } = await listen(4);
    await Promise.all(
      listeners.map(async (listener, rank) => {
        await new Promise((resolve) => setTimeout(resolve, [60, 0, 30, 10][rank]));
        const links = keep(await connectRanks({ ...identity(rank, 4), listener, peers }));
        expect(links.map(({ peer }) => peer)).toEqual([0, 1, 2, 3].filter((other) => other !== rank));
        await greet(links, rank);
      }),
    );
  });

  it('waits for a rank that does not listen yet', async () => {
    const { listeners, peers } = await listen(2);
    const { port } = listeners[0]!;
    await listeners[0]!.close();
    const second = connectRanks({ ...identity(1, 2), listener: listeners[1]!, peers });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const late = await TcpListener.listen({ host: '127.0.0.1', port });
    const [a, b] = await Promise.all([connectRanks({ ...identity(0, 2), listener: late, peers }), second]);
    keep(a);
    keep(b);
  });

  it.each([
    ['epoch', { epoch: 2 }],
    ['job', { jobId: 'job-2' }],
    ['world size', { worldSize: 3 }],
    ['secret', { secret: Buffer.alloc(32, 8).toString('base64url') }],
  ])('refuses another %s without disturbing the right one', async (what, wrong) => {
    const { listeners, peers } = await listen(2);
    const refused: string[] = [];
    const first = connectRanks({
      ...identity(0, 2),
      listener: listeners[0]!,
      peers,
      onRefused: (error) => refused.push(error.code),
    });
    const impostorListener = await TcpListener.listen({ host: '127.0.0.1' });
    const impostor = connectRanks({
      ...identity(1, 2),
      ...wrong,
      listener: impostorListener,
      peers: [...peers, { rank: 2, host: '127.0.0.1', port: peers[1]!.port }],
    });
    await expect(impostor).rejects.toMatchObject({ code: 'link_refused', message: expect.stringContaining(what) });
    const second = connectRanks({ ...identity(1, 2), listener: listeners[1]!, peers });
    await Promise.all([greet(keep(await first), 0), greet(keep(await second), 1)]);
    // A dialer that sees a wrong proof hangs up first; every other refusal is the acceptor's own.
    expect(refused).toEqual([what === 'secret' ? 'link_closed' : 'link_refused']);
  });

  it('refuses a rank that is there already, and garbage', async () => {
    const { listeners, peers } = await listen(3);
    const refused: string[] = [];
    const onRefused = (error: Error) => void refused.push(error.message);
    const first = connectRanks({ ...identity(0, 3), listener: listeners[0]!, peers, onRefused });
    const one = connectRanks({ ...identity(1, 3), listener: listeners[1]!, peers });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const again = await TcpListener.listen({ host: '127.0.0.1' });
    await expect(connectRanks({ ...identity(1, 3), listener: again, peers })).rejects.toMatchObject({
      code: 'link_refused',
    });
    const garbage = connect(listeners[0]!.port, '127.0.0.1');
    garbage.on('error', () => {});
    garbage.resume();
    garbage.write(Buffer.alloc(1000, 'GET / HTTP/1.1\r\n'));
    await once(garbage, 'close');
    const two = connectRanks({ ...identity(2, 3), listener: listeners[2]!, peers });
    const all = (await Promise.all([first, one, two])).map(keep);
    await Promise.all(all.map(greet));
    expect(refused).toHaveLength(2);
  });

  it('names the ranks that did not come when the time is up', async () => {
    const { listeners, peers } = await listen(3);
    const options = { ...identity(0, 3), listener: listeners[0]!, peers, timeoutMs: 50 };
    await expect(connectRanks(options)).rejects.toMatchObject({
      code: 'link_timeout',
      message: expect.stringContaining('rank 1, 2'),
    });
  });

  it('ends with the reason of its signal', async () => {
    const { listeners, peers } = await listen(2);
    const controller = new AbortController();
    const waiting = connectRanks({ ...identity(1, 2), listener: listeners[1]!, peers, signal: controller.signal });
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 20);
    await expect(waiting).rejects.toBe(reason);
  });

  it('fails early when a rank that had connected is lost', async () => {
    const { listeners, peers } = await listen(3);
    const first = connectRanks({ ...identity(0, 3), listener: listeners[0]!, peers });
    const controller = new AbortController();
    const second = connectRanks({ ...identity(1, 3), listener: listeners[1]!, peers, signal: controller.signal });
    second.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    controller.abort(new Error('killed'));
    await expect(first).rejects.toMatchObject({ code: 'link_closed' });
  });

  it('says that a port is taken', async () => {
    const { listeners } = await listen(1);
    await expect(TcpListener.listen({ host: '127.0.0.1', port: listeners[0]!.port })).rejects.toMatchObject({
      code: 'port_taken',
    });
  });
});
