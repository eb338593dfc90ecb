import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { ClipyardError } from '@clipyard/contracts';
import { readBytes } from './socket-bytes.js';

/**
 * The handshake of a connection between two ranks. Both prove that they hold the attempt's secret without sending it:
 *   dialer   → hello: magic, version, epoch, world size, both ranks, job id, 32 random bytes
 *   acceptor → verdict byte; if it is `accepted`: 32 random bytes, HMAC(secret, "acceptor" | hello | random bytes)
 *   dialer   → HMAC(secret, "dialer" | hello | the acceptor's random bytes)
 *   acceptor → verdict byte
 * A refused dialer learns which check failed; the acceptor closes and goes on waiting for the right one.
 */
const MAGIC = 'CLIPYARD';
const VERSION = 1;
const JOB_BYTES = 128;
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const HELLO_BYTES = MAGIC.length + 4 + 8 + 4 + 4 + 4 + JOB_BYTES + NONCE_BYTES;

const VERDICTS = ['accepted', 'protocol', 'version', 'job', 'epoch', 'world size', 'rank', 'secret'] as const;
type Verdict = (typeof VERDICTS)[number];

/** What both ends must agree on. */
export interface Identity {
  readonly jobId: string;
  readonly epoch: number;
  readonly rank: number;
  readonly worldSize: number;
  /** base64url. */
  readonly secret: string;
}

/** Which ranks the acceptor waits for. */
export interface Guests {
  /** Whether the rank may still come. */
  isExpected(rank: number): boolean;
  /** Takes the rank's place; false when another connection has it. */
  claim(rank: number): boolean;
}

/** Shakes hands as the one who connected, with rank `peer`. Throws `link_refused`, `link_closed` or the signal's reason. */
export async function shakeAsDialer(socket: Socket, self: Identity, peer: number, signal: AbortSignal): Promise<void> {
  const hello = encodeHello(self, peer);
  socket.write(hello);
  await expectAccepted(socket, peer, signal);
  const answer = await readBytes(socket, NONCE_BYTES + MAC_BYTES, signal);
  const nonce = answer.subarray(0, NONCE_BYTES);
  if (!timingSafeEqual(answer.subarray(NONCE_BYTES), mac(self.secret, 'acceptor', hello, nonce))) {
    throw new ClipyardError(
      'link_refused',
      `Whoever answers for rank ${peer} does not know the secret of this attempt`,
    );
  }
  socket.write(mac(self.secret, 'dialer', hello, nonce));
  await expectAccepted(socket, peer, signal);
}

/**
 * Shakes hands as the one who was connected to, and returns the other's rank. Throws `link_refused`, `link_closed` or the signal's reason; the caller closes the socket then.
 */
export async function shakeAsAcceptor(
  socket: Socket,
  self: Identity,
  guests: Guests,
  signal: AbortSignal,
): Promise<number> {
  const hello = await readBytes(socket, HELLO_BYTES, signal);
  const { verdict, rank } = judgeHello(hello, self, guests);
  if (verdict !== 'accepted') throw refuse(socket, verdict);
  const nonce = randomBytes(NONCE_BYTES);
  socket.write(Buffer.concat([verdictByte('accepted'), nonce, mac(self.secret, 'acceptor', hello, nonce)]));
  const proof = await readBytes(socket, MAC_BYTES, signal);
  if (!timingSafeEqual(proof, mac(self.secret, 'dialer', hello, nonce))) throw refuse(socket, 'secret');
  // Two connections may have said the same rank while neither had proved it.
  if (!guests.claim(rank)) throw refuse(socket, 'rank');
  socket.write(verdictByte('accepted'));
  return rank;
}

function encodeHello(self: Identity, peer: number): Buffer {
  const hello = Buffer.alloc(HELLO_BYTES);
  let at = hello.write(MAGIC, 'latin1');
  at = hello.writeUInt32LE(VERSION, at);
  at = hello.writeBigUInt64LE(BigInt(self.epoch), at);
  at = hello.writeUInt32LE(self.worldSize, at);
  at = hello.writeUInt32LE(self.rank, at);
  at = hello.writeUInt32LE(peer, at);
  encodeJobId(self.jobId).copy(hello, at);
  randomBytes(NONCE_BYTES).copy(hello, at + JOB_BYTES);
  return hello;
}

function judgeHello(hello: Buffer, self: Identity, guests: Guests): { verdict: Verdict; rank: number } {
  let at = MAGIC.length;
  const version = hello.readUInt32LE(at);
  const epoch = hello.readBigUInt64LE((at += 4));
  const worldSize = hello.readUInt32LE((at += 8));
  const rank = hello.readUInt32LE((at += 4));
  const called = hello.readUInt32LE((at += 4));
  const jobId = hello.subarray((at += 4), at + JOB_BYTES);
  const judge = (): Verdict => {
    if (hello.toString('latin1', 0, MAGIC.length) !== MAGIC) return 'protocol';
    if (version !== VERSION) return 'version';
    if (!jobId.equals(encodeJobId(self.jobId))) return 'job';
    if (epoch !== BigInt(self.epoch)) return 'epoch';
    if (worldSize !== self.worldSize) return 'world size';
    if (called !== self.rank || !guests.isExpected(rank)) return 'rank';
    return 'accepted';
  };
  return { verdict: judge(), rank };
}

function encodeJobId(jobId: string): Buffer {
  const bytes = Buffer.alloc(JOB_BYTES);
  const text = Buffer.from(jobId);
  if (text.length > JOB_BYTES)
    throw new ClipyardError('internal', `The job id ${jobId} is longer than ${JOB_BYTES} bytes`);
  text.copy(bytes);
  return bytes;
}

function mac(secret: string, role: 'acceptor' | 'dialer', hello: Buffer, nonce: Buffer): Buffer {
  return createHmac('sha256', Buffer.from(secret, 'base64url')).update(role).update(hello).update(nonce).digest();
}

const verdictByte = (verdict: Verdict): Buffer => Buffer.from([VERDICTS.indexOf(verdict)]);

async function expectAccepted(socket: Socket, peer: number, signal: AbortSignal): Promise<void> {
  const [byte] = await readBytes(socket, 1, signal);
  const verdict = VERDICTS[byte!] ?? 'protocol';
  if (verdict !== 'accepted') {
    throw new ClipyardError(
      'link_refused',
      `Rank ${peer} refused the connection: the ${verdict} does not match its own`,
    );
  }
}

function refuse(socket: Socket, verdict: Verdict): ClipyardError {
  socket.end(verdictByte(verdict));
  return new ClipyardError('link_refused', `A connection was refused: its ${verdict} does not match`);
}
