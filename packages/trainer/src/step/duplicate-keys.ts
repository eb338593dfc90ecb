import { createHash } from 'node:crypto';
import type { Group } from '@clipyard/contracts';
import type { StepBatch } from './micro-batches.js';
import type { RunPlan } from './run-plan.js';

/** Bytes of a sample's key. That two different samples of one batch share theirs in a million steps of 32,768 has odds of 1 in 34,000. */
const KEY_BYTES = 8;

/** Keys of the global batch, [B,2], the same for samples with the same caption (after the tokenizer) or picture. */
export async function gatherDuplicateKeys(
  group: Group,
  { localBatch, globalBatch }: RunPlan,
  of: 'caption' | 'image',
  { tokens, pixels }: StepBatch,
  signal: AbortSignal,
): Promise<Int32Array> {
  const source = of === 'caption' ? tokens : pixels;
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const width = bytes.length / localBatch;
  const own = new Uint8Array(localBatch * KEY_BYTES);
  for (let row = 0; row < localBatch; row++) {
    const digest = createHash('sha256')
      .update(bytes.subarray(row * width, (row + 1) * width))
      .digest();
    own.set(digest.subarray(0, KEY_BYTES), row * KEY_BYTES);
  }
  const all = new Uint8Array(globalBatch * KEY_BYTES);
  await group.allGather(own, all, { signal });
  return new Int32Array(all.buffer);
}
