import assert from 'node:assert';
import type { Engine } from '@clipyard/engine';
import type { ContrastiveLoss, ContrastiveLossOptions } from './contrastive-loss.js';
import { compileSigmoidLoss } from './sigmoid/sigmoid-loss.js';
import { compileSoftmaxLoss } from './softmax/softmax-loss.js';
import { tileGrid } from './tiles.js';

/**
 * Compiles a loss over the global batch and its exact gradient, in tiles of logits: memory is O(B + tile) beside the
 * embeddings. Throws what the engine throws.
 */
export async function compileContrastiveLoss(
  engine: Engine,
  options: ContrastiveLossOptions,
): Promise<ContrastiveLoss> {
  const { localRows: b, globalRows: B, dimension: D } = options;
  assert(b > 0 && D > 0 && B % b === 0, `${B} global rows are no multiple of ${b} local rows`);
  const grid = tileGrid(b, B, options);
  return options.type === 'clip'
    ? compileSoftmaxLoss(engine, grid, options)
    : compileSigmoidLoss(engine, grid, options);
}
