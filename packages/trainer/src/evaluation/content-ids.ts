import { createHash } from 'node:crypto';
import type { Group } from '@clipyard/contracts';
import { gatherRows } from './gather-rows.js';

/** 32-bit words of a hash: with 128 bits two different contents never meet. */
const WORDS = 4;

/** The hash of a content as 4 integers. */
export function contentHash(content: Uint8Array | string): Int32Array {
  const digest = createHash('sha256').update(content).digest();
  return Int32Array.from({ length: WORDS }, (_, i) => digest.readInt32LE(4 * i));
}

/** Rows of hashes of all ranks as small numbers: equal contents have equal ids, which count up by first appearance. */
export async function contentIds(group: Group, ownHashes: Int32Array, signal: AbortSignal): Promise<Int32Array> {
  const { rows } = await gatherRows(group, ownHashes, WORDS, signal);
  const known = new Map<string, number>();
  return Int32Array.from({ length: rows.length / WORDS }, (_, i) => {
    const key = rows.subarray(i * WORDS, (i + 1) * WORDS).join();
    const id = known.get(key) ?? known.size;
    known.set(key, id);
    return id;
  });
}
