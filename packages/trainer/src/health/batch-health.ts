import { setImmediate } from 'node:timers/promises';
import type { Group } from '@clipyard/contracts';
import { gatherDuplicateKeys } from '../step/duplicate-keys.js';
import type { Embeddings } from '../step/gathered-embeddings.js';
import type { StepBatch } from '../step/micro-batches.js';
import type { RunPlan } from '../step/run-plan.js';
import { isTowerParameter } from '../step/tower-programs.js';
import type { TrainState } from '../step/train-state.js';
import { dot, effectiveRank } from './effective-rank.js';

/** Multiplications that one measurement takes on all ranks together for softmaxes and uniformity. */
const MULTIPLICATIONS = 2 ** 25;
/** Rows that softmaxes and uniformity are averaged over at least, where the batch has them. */
const LEAST_ROWS = 32;
/** Longest time for which the event loop is held, but for the effective rank, ms. */
const LONGEST_TURN_MS = 20;
/** Rows that the effective rank is taken of at most: it takes the cube of their number. */
const RANK_ROWS = 128;

/** What a step leaves behind. B global batch, D embedding dimension. */
export interface StepRemains {
  /** Of the global batch, [B,D] each, of length 1. */
  readonly embeddings: Embeddings;
  /** Rows of this rank. */
  readonly batch: StepBatch;
  /** The logarithm, as the step used it. */
  readonly logitScale: number;
  /** What the gradient in the state is larger by. */
  readonly gradientScale: number;
}

/** What ranks add up, each its share. */
const SUMS = [
  'imageEntropy',
  'textEntropy',
  'imageHits',
  'textHits',
  'imagePotential',
  'textPotential',
  'imageRank',
  'textRank',
  'imageSquares',
  'textSquares',
] as const;
type Sum = (typeof SUMS)[number];

/**
 * Measures what tells of a contrastive run whether it learns, over the global batch, the same for every number of ranks:
 * the rows that it looks at depend on B only and are shared out. For the figures see METRICS and docs/guides/health.md.
 */
export class BatchHealth {
  /** Rows of the global batch by which softmaxes and uniformity are measured, and the effective rank. */
  private readonly rows: readonly number[];
  private readonly rankRows: readonly number[];
  /** Parts of this rank's slice of the gradient, by tower. */
  private readonly gradients: readonly { readonly sum: Sum; readonly values: Float32Array }[];

  constructor(
    private readonly deps: {
      readonly group: Group;
      readonly state: Pick<TrainState, 'layout' | 'slice' | 'sliceGradients'>;
    },
    private readonly options: { readonly plan: RunPlan; readonly dimension: number; readonly maxLogitScale: number },
  ) {
    const { plan, dimension } = options;
    const { globalBatch } = plan;
    const affordable = Math.floor(MULTIPLICATIONS / (4 * globalBatch * dimension));
    this.rows = spread(Math.min(globalBatch, Math.max(LEAST_ROWS, affordable)), globalBatch);
    this.rankRows = spread(Math.min(globalBatch, RANK_ROWS), globalBatch);
    this.gradients = towerGradients(deps.state);
  }

  /** By metric name; on all ranks together, the same on each. */
  async measure(remains: StepRemains, signal: AbortSignal): Promise<Record<string, number>> {
    const { group } = this.deps;
    const { plan, dimension: D, maxLogitScale } = this.options;
    const { embeddings, batch, logitScale, gradientScale } = remains;
    const B = plan.globalBatch;
    const captions = await gatherDuplicateKeys(group, plan, 'caption', batch, signal);
    const pictures = await gatherDuplicateKeys(group, plan, 'image', batch, signal);
    const sums = new Float64Array(SUMS.length);
    const add = (sum: Sum, value: number): void => {
      sums[SUMS.indexOf(sum)]! += value;
    };
    let begin = performance.now();
    for (const [k, row] of this.rows.entries()) {
      if (k % plan.worldSize !== plan.rank) continue;
      this.measureRow(embeddings, row, Math.exp(logitScale), add);
      // Heartbeats and sockets have their turn.
      if (performance.now() - begin > LONGEST_TURN_MS) {
        await setImmediate();
        begin = performance.now();
      }
    }
    const embeddedRows = (of: Float32Array) => this.rankRows.map((row) => of.subarray(row * D, (row + 1) * D));
    if (plan.rank === 0) add('imageRank', effectiveRank(embeddedRows(embeddings.image)));
    if (plan.rank === plan.worldSize - 1) add('textRank', effectiveRank(embeddedRows(embeddings.text)));
    for (const { sum, values } of this.gradients) add(sum, dot(values, 0, values, 0, values.length));
    await group.allReduce(sums, 'sum', { signal });
    const of = (sum: Sum): number => sums[SUMS.indexOf(sum)]!;
    const rows = this.rows.length;
    const norm = (sum: Sum): number => Math.sqrt(of(sum)) / gradientScale;
    const uniformity = (sum: Sum): number => Math.log(of(sum) / (rows * (B - 1)));
    const most = Math.log(maxLogitScale);
    return {
      'health/scale_at_clamp': logitScale <= 0 || logitScale >= Math.fround(most) ? 1 : 0,
      'health/image_to_text/entropy': of('imageEntropy') / rows,
      'health/text_to_image/entropy': of('textEntropy') / rows,
      'health/image_to_text/accuracy': of('imageHits') / rows,
      'health/text_to_image/accuracy': of('textHits') / rows,
      ...this.measurePairs(embeddings),
      ...(B > 1 && {
        'health/image/uniformity': uniformity('imagePotential'),
        'health/text/uniformity': uniformity('textPotential'),
      }),
      'health/image/rank': of('imageRank'),
      'health/text/rank': of('textRank'),
      'health/duplicates/caption': duplicateShare(captions),
      'health/duplicates/image': duplicateShare(pictures),
      'health/image/grad_norm': norm('imageSquares'),
      'health/text/grad_norm': norm('textSquares'),
    };
  }

  /** One row's softmax each way, and its potential among its own kind. */
  private measureRow(
    { image, text }: Embeddings,
    row: number,
    scale: number,
    add: (sum: Sum, value: number) => void,
  ): void {
    const { plan, dimension: D } = this.options;
    const B = plan.globalBatch;
    const logits_B = new Float64Array(B);
    const directions = [
      { own: image, other: text, entropy: 'imageEntropy', hits: 'imageHits', potential: 'imagePotential' },
      { own: text, other: image, entropy: 'textEntropy', hits: 'textHits', potential: 'textPotential' },
    ] as const;
    for (const { own, other, entropy, hits, potential } of directions) {
      for (let j = 0; j < B; j++) logits_B[j] = scale * dot(own, row * D, other, j * D, D);
      const softmax = softmaxOf(logits_B, row);
      add(entropy, softmax.entropy);
      add(hits, softmax.hit);
      let total = 0;
      for (let j = 0; j < B; j++)
        if (j !== row) total += Math.exp(4 * (Math.min(dot(own, row * D, own, j * D, D), 1) - 1));
      add(potential, total);
    }
  }

  /** What pairs and means tell, of the whole batch. */
  private measurePairs({ image, text }: Embeddings): Record<string, number> {
    const { plan, dimension: D } = this.options;
    const B = plan.globalBatch;
    const gap_D = new Float64Array(D);
    let squares = 0;
    for (let row = 0; row < B; row++) {
      for (let k = 0; k < D; k++) {
        const difference = image[row * D + k]! - text[row * D + k]!;
        squares += difference * difference;
        gap_D[k]! += difference / B;
      }
    }
    return { 'health/alignment': squares / B, 'health/modality_gap': Math.hypot(...gap_D) };
  }
}

/** `count` of `total` numbers from 0, evenly. */
const spread = (count: number, total: number): number[] =>
  Array.from({ length: count }, (_, k) => Math.floor((k * total) / count));

/** Entropy in nats; `hit`: 1 when the own logit is the largest, shared with those that are as large. */
function softmaxOf(logits_B: Float64Array, own: number): { entropy: number; hit: number } {
  let max = Number.NEGATIVE_INFINITY;
  let ties = 0;
  for (const logit of logits_B) {
    if (logit > max) ties = 0;
    if (logit >= max) ties++;
    max = Math.max(max, logit);
  }
  let sum = 0;
  let weighted = 0;
  for (const logit of logits_B) {
    const weight = Math.exp(logit - max);
    sum += weight;
    weighted += weight * (logit - max);
  }
  return { entropy: Math.log(sum) - weighted / sum, hit: logits_B[own] === max ? 1 / ties : 0 };
}

/** Share of the samples that another one of the batch equals, by keys [B,2]. */
function duplicateShare(keys_B2: Int32Array): number {
  const keys = new BigInt64Array(keys_B2.slice().buffer);
  const counts = new Map<bigint, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return keys.filter((key) => counts.get(key)! > 1).length / keys.length;
}

function towerGradients({
  layout,
  slice,
  sliceGradients,
}: Pick<TrainState, 'layout' | 'slice' | 'sliceGradients'>): { sum: Sum; values: Float32Array }[] {
  return layout.tensors
    .filter(({ name }) => isTowerParameter(name))
    .map(({ name, offset, size }) => ({
      sum: name.startsWith('visual.') ? ('imageSquares' as const) : ('textSquares' as const),
      begin: Math.max(offset, slice.start) - slice.start,
      end: Math.min(offset + size, slice.end) - slice.start,
    }))
    .filter(({ begin, end }) => begin < end)
    .map(({ sum, begin, end }) => ({ sum, values: sliceGradients.subarray(begin, end) }));
}
