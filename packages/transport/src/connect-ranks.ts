import assert from 'node:assert';
import { connect, type Socket } from 'node:net';
import { ClipyardError, LIMITS, type Link, type PeerAddress } from '@clipyard/contracts';
import { abortable, backoff, deferred, sleep, withTimeout } from '@clipyard/runtime';
import { type Guests, type Identity, shakeAsAcceptor, shakeAsDialer } from './handshake.js';
import { TcpLink } from './tcp-link.js';
import type { TcpListener } from './tcp-listener.js';

/** Time for one connection to shake hands once it stands, ms. */
const HANDSHAKE_LIMIT_MS = 10_000;

export interface ConnectRanksOptions extends Identity {
  /** Closed when this settles. */
  readonly listener: TcpListener;
  /** All ranks; this rank's own address is not used. */
  readonly peers: readonly PeerAddress[];
  readonly signal?: AbortSignal;
  /** Default `LIMITS.rendezvousTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Told of connections that were refused or failed before they had proved who they are. */
  readonly onRefused?: (error: ClipyardError) => void;
}

/**
 * Connects this rank with all others of its attempt and returns the links in the order of ranks. The higher rank of a
 * pair dials. Throws `link_refused`, `link_timeout`, `link_closed` when a rank is lost meanwhile, or the signal's reason.
 */
export async function connectRanks(options: ConnectRanksOptions): Promise<Link[]> {
  const { rank, worldSize, peers, listener, timeoutMs = LIMITS.rendezvousTimeoutMs } = options;
  const links = new Map<number, TcpLink>();
  const others = Array.from({ length: worldSize }, (_, other) => other).filter((other) => other !== rank);
  const timeout = withTimeout(options.signal, timeoutMs, () => {
    const missing = others.filter((other) => !links.has(other));
    return new ClipyardError('link_timeout', `No connection to rank ${missing.join(', ')} after ${timeoutMs} ms`);
  });
  // Everything that is under way ends when the rendezvous does, well or badly.
  const ending = new AbortController();
  const failure = deferred<never>();
  failure.promise.catch(() => {});
  const onAbort = () => ending.abort(timeout.signal.reason);
  timeout.signal.addEventListener('abort', onAbort, { once: true });
  if (timeout.signal.aborted) onAbort();

  const arrived = new Map(others.map((other) => [other, deferred()]));
  const claimed = new Set<number>();
  const isExpected = (peer: number) => peer > rank && peer < worldSize && !claimed.has(peer);
  const claim = (peer: number) => isExpected(peer) && claimed.add(peer).has(peer);
  const keep = (peer: number, socket: Socket) => {
    if (ending.signal.aborted) {
      // It came too late: nobody would close the link.
      socket.destroy();
      return;
    }
    const link = new TcpLink(socket, { peer });
    links.set(peer, link);
    void link.closed.then((reason) => failure.reject(reason ?? new ClipyardError('link_closed', 'The link closed')));
    arrived.get(peer)!.resolve();
  };

  try {
    listener.accept((socket) => {
      acceptOne(socket, options, { isExpected, claim }, ending.signal).then(
        (peer) => keep(peer, socket),
        (error) => {
          socket.destroySoon();
          if (!ending.signal.aborted) options.onRefused?.(ClipyardError.from(error, 'link_closed'));
        },
      );
    });
    const dials = others
      .filter((other) => other < rank)
      .map(async (other) => {
        const address = peers.find((peer) => peer.rank === other);
        assert(address !== undefined, `the addresses of all ranks are known; rank ${other} is missing`);
        keep(other, await dial(address, options, ending.signal));
      });
    const all = Promise.all([...dials, ...[...arrived.values()].map(({ promise }) => promise)]);
    await abortable(Promise.race([all, failure.promise]), timeout.signal);
    return others.map((other) => links.get(other)!);
  } catch (error) {
    ending.abort(error);
    await Promise.all([...links.values()].map((link) => link.close()));
    throw error;
  } finally {
    ending.abort(new ClipyardError('link_closed', 'The rendezvous is over'));
    timeout.signal.removeEventListener('abort', onAbort);
    timeout.clear();
    await listener.close();
  }
}

async function acceptOne(socket: Socket, self: Identity, guests: Guests, signal: AbortSignal): Promise<number> {
  socket.on('error', ignore);
  socket.setNoDelay(true);
  const limit = handshakeLimit(signal);
  try {
    return await shakeAsAcceptor(socket, self, guests, limit.signal);
  } finally {
    limit.clear();
  }
}

/** Connects, again and again until the signal aborts: the other rank may not listen yet, or its host be slow to answer. */
async function dial(address: PeerAddress, self: Identity, signal: AbortSignal): Promise<Socket> {
  const delays = backoff({ initialMs: 20, maxMs: 1_000 });
  for (;;) {
    signal.throwIfAborted();
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    socket.on('error', ignore);
    const limit = handshakeLimit(signal);
    try {
      await connected(socket, limit.signal);
      await shakeAsDialer(socket, self, address.rank, limit.signal);
      return socket;
    } catch (error) {
      socket.destroy();
      if (signal.aborted) throw signal.reason;
      if (error instanceof ClipyardError && error.code === 'link_refused') throw error;
    } finally {
      limit.clear();
    }
    await sleep(delays.next(), { signal });
  }
}

function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = deferred();
  socket.once('connect', resolve);
  socket.once('error', reject);
  return abortable(promise, signal);
}

const handshakeLimit = (signal: AbortSignal) =>
  withTimeout(
    signal,
    HANDSHAKE_LIMIT_MS,
    () => new ClipyardError('link_timeout', `No handshake within ${HANDSHAKE_LIMIT_MS} ms`),
  );

/** A socket's errors are seen by whoever reads it; without a listener they would end the process. */
const ignore = (): void => {};
