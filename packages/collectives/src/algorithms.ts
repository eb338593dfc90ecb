import { LIMITS, type NumericArray, type ReduceOperation } from '@clipyard/contracts';
import type { Exchange } from './exchange.js';
import { reduceInOrder } from './reduction.js';

/**
 * Direct algorithms: every rank sends to every other what that one needs. As many bytes a rank as a ring, one round
 * instead of W - 1, and the sums can be made in the order of ranks. The cost is W - 1 connections a rank.
 */
export type Elements = NumericArray | Uint8Array | Uint16Array;

/** An all-reduce of at most this many bytes sends all of it to everybody: one round, where the other way has two. */
const SMALL_BYTES = 64 << 10;
/** Slices are reduced in pieces of this many bytes, so that adding overlaps with receiving and scratch stays small. */
const PIECE_BYTES = LIMITS.frameBytes;

/** Where each rank's slice of `length` elements begins and ends; they differ by at most one element. */
type Bounds = (rank: number) => { start: number; end: number };
const evenBounds =
  (length: number, worldSize: number): Bounds =>
  (rank) => ({ start: Math.floor((rank * length) / worldSize), end: Math.floor(((rank + 1) * length) / worldSize) });

export async function allGather(exchange: Exchange, input: Elements, output: Elements): Promise<void> {
  const { rank, worldSize } = exchange;
  const own = output.subarray(rank * input.length, (rank + 1) * input.length);
  if (!isSameMemory(own, input)) own.set(input);
  await gatherSlices(exchange, output, evenBounds(output.length, worldSize));
}

/** Whether two views of the same length are of the same bytes, which then need no copy. */
const isSameMemory = (a: Elements, b: Elements): boolean => a.buffer === b.buffer && a.byteOffset === b.byteOffset;

export async function reduceScatter(exchange: Exchange, input: Float32Array, output: Float32Array): Promise<void> {
  if (exchange.worldSize === 1) {
    if (!isSameMemory(output, input)) output.set(input);
    return;
  }
  await reduceSlice(exchange, input, output, evenBounds(input.length, exchange.worldSize), 'sum');
}

export async function allReduce(exchange: Exchange, buffer: NumericArray, operation: ReduceOperation): Promise<void> {
  if (exchange.worldSize === 1) return;
  if (buffer.byteLength <= SMALL_BYTES) {
    await reduceWhole(exchange, buffer, operation);
    return;
  }
  const bounds = evenBounds(buffer.length, exchange.worldSize);
  const { start, end } = bounds(exchange.rank);
  await reduceSlice(exchange, buffer, buffer.subarray(start, end), bounds, operation);
  await gatherSlices(exchange, buffer, bounds);
}

export async function broadcast(exchange: Exchange, buffer: Elements, root: number): Promise<void> {
  if (exchange.rank !== root) await exchange.receive(root, buffer);
  else await Promise.all(exchange.peers.map((peer) => exchange.send(peer, buffer)));
}

export async function barrier(exchange: Exchange): Promise<void> {
  const nothing = new Uint8Array(0);
  await Promise.all(exchange.peers.flatMap((peer) => [exchange.send(peer, nothing), exchange.receive(peer, nothing)]));
}

/** Sends the own slice of `buffer` to all and receives theirs. */
async function gatherSlices(exchange: Exchange, buffer: Elements, bounds: Bounds): Promise<void> {
  const slice = (rank: number) => buffer.subarray(bounds(rank).start, bounds(rank).end);
  const own = slice(exchange.rank);
  await Promise.all(exchange.peers.flatMap((peer) => [exchange.send(peer, own), exchange.receive(peer, slice(peer))]));
}

async function reduceWhole(exchange: Exchange, buffer: NumericArray, operation: ReduceOperation): Promise<void> {
  const scratch = exchange.scratch.take(exchange.worldSize * buffer.byteLength);
  const parts = partsOf(exchange, scratch, buffer);
  await Promise.all(
    exchange.peers.flatMap((peer) => [exchange.send(peer, buffer), exchange.receive(peer, parts[peer]!)]),
  );
  reduceInOrder(parts, buffer, operation);
  exchange.scratch.give(scratch);
}

/** `output` = the own slice of the combination of all inputs. Two pieces are in hand: one arrives while one is added. */
async function reduceSlice(
  exchange: Exchange,
  input: NumericArray,
  output: NumericArray,
  bounds: Bounds,
  operation: ReduceOperation,
): Promise<void> {
  const { rank, peers } = exchange;
  const pieceElements = PIECE_BYTES / input.BYTES_PER_ELEMENT;
  const sends = peers.map(async (peer) => {
    const { start, end } = bounds(peer);
    for (let at = start; at < end; at += pieceElements) {
      await exchange.send(peer, input.subarray(at, Math.min(at + pieceElements, end)));
    }
  });
  const { start, end } = bounds(rank);
  const receivePiece = async (at: number) => {
    const own = input.subarray(at, Math.min(at + pieceElements, end));
    const scratch = exchange.scratch.take(exchange.worldSize * own.byteLength);
    const parts = partsOf(exchange, scratch, own);
    await Promise.all(peers.map((peer) => exchange.receive(peer, parts[peer]!)));
    return { at, parts, scratch };
  };
  const reduce = async () => {
    let next = start < end ? receivePiece(start) : undefined;
    while (next !== undefined) {
      const { at, parts, scratch } = await next;
      next = at + pieceElements < end ? receivePiece(at + pieceElements) : undefined;
      // Awaited in the next turn; should it fail meanwhile, it is not unheard.
      next?.catch(() => {});
      const length = parts[rank]!.length;
      reduceInOrder(parts, output.subarray(at - start, at - start + length), operation);
      exchange.scratch.give(scratch);
    }
  };
  await Promise.all([reduce(), ...sends]);
}

/** One array a rank, each as long as `own`: views of `scratch`, and `own` itself in its place. */
function partsOf<T extends NumericArray>(exchange: Exchange, scratch: ArrayBuffer, own: T): T[] {
  const View = own.constructor as new (buffer: ArrayBuffer, byteOffset: number, length: number) => T;
  return Array.from({ length: exchange.worldSize }, (_, rank) =>
    rank === exchange.rank ? own : new View(scratch, rank * own.byteLength, own.length),
  );
}
