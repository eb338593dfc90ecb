import assert from 'node:assert';
import type { Engine, Program } from '@clipyard/engine';
import type {
  ContrastiveLoss,
  ContrastiveLossInputs,
  ContrastiveLossOutputs,
  ContrastiveLossResult,
  SigLipLossOptions,
} from '../contrastive-loss.js';
import { Duplicates } from '../duplicates.js';
import { RowStatistics } from '../row-statistics.js';
import { BEFORE_FIRST_TILE, dot, type Embeddings, embeddingInputs, hitShare, ownRows } from '../tile-inputs.js';
import { TilePrograms } from '../tile-programs.js';
import { endingIn, type Range, rowsOf, sweep, type TileGrid } from '../tiles.js';
import { SIGMOID_STATISTICS, type SigmoidStatistic, sigmoidSpecs, sigmoidTile } from './sigmoid-tile.js';

type Programs = { readonly pass: Program };

export async function compileSigmoidLoss(
  engine: Engine,
  grid: TileGrid,
  options: SigLipLossOptions,
): Promise<ContrastiveLoss> {
  const { dimension: D, maskDuplicates: masked = false } = options;
  const programs = await TilePrograms.compile<Programs>(grid, async (R, C, shape) => ({
    pass: await engine.compile(sigmoidTile(masked), sigmoidSpecs(masked, R, C, D), { name: `sigmoid loss ${shape}` }),
  }));
  return new SigmoidLoss(engine, grid, options, programs);
}

/** What ranks add up. */
const SUMS = { loss: 0, hits: 1 } as const;

/**
 * Pairs do not depend on each other, so one pass over own rows and own columns gives loss and gradients, and ranks exchange
 * two numbers. Legend: b local rows, B global rows, D dimension.
 */
class SigmoidLoss implements ContrastiveLoss {
  private readonly scale: Float32Array;
  private readonly bias: Float32Array;
  private readonly factor: Float32Array;
  private readonly statistics: RowStatistics<SigmoidStatistic>;
  /** Accumulators of one row tile; the other copy is the caller's output. */
  private readonly dImage: Float32Array;
  private readonly dText: Float32Array;
  private readonly groups_B: Float32Array | undefined;

  constructor(
    engine: Engine,
    private readonly grid: TileGrid,
    private readonly options: SigLipLossOptions,
    private readonly programs: TilePrograms<Programs>,
  ) {
    const { globalRows: B, dimension: D, maskDuplicates } = options;
    const R = Math.max(...grid.rows.map((tile) => tile.size));
    const floats = (length: number) => engine.allocate('float32', length);
    this.scale = floats(1);
    this.bias = floats(1);
    this.factor = floats(1);
    this.statistics = new RowStatistics(engine, SIGMOID_STATISTICS, R, { max: BEFORE_FIRST_TILE });
    this.dImage = floats(R * D);
    this.dText = floats(R * D);
    this.groups_B = maskDuplicates ? floats(B) : undefined;
  }

  async run(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Promise<ContrastiveLossResult> {
    const { localRows: b, globalRows: B, dimension: D } = this.options;
    const { group, imageEmb_BD, textEmb_BD, logitBias = 0, duplicateKeys_B2, signal } = inputs;
    assert(group.worldSize * b === B, `compiled for ${B / b} ranks, the group has ${group.worldSize}`);
    assert(imageEmb_BD.length === B * D && textEmb_BD.length === B * D, `embeddings are not [${B},${D}]`);
    assert(outputs.dImage_bD.length === b * D && outputs.dText_bD.length === b * D, `outputs are not [${b},${D}]`);
    this.scale[0] = Math.exp(inputs.logitScale);
    this.bias[0] = logitBias;
    this.factor[0] = this.scale[0]! / B;
    let duplicates: Duplicates | undefined;
    if (this.groups_B !== undefined) {
      assert(duplicateKeys_B2?.length === 2 * B, `keys of duplicates are not [${B},2]`);
      duplicates = new Duplicates(duplicateKeys_B2, this.groups_B);
    }
    const all = { image: imageEmb_BD, text: textEmb_BD };
    const own = ownRows(all, group.rank, b, D);
    const sums = new Float64Array(Object.keys(SUMS).length);
    let dLogitBias = 0;
    for (const rows of this.grid.rows) {
      const values = await this.rowTile(rows, own, all, duplicates, group.rank * b, outputs, signal);
      for (let row = 0; row < rows.size; row++) {
        const statistic = this.statistics.read(values, row);
        const x = statistic.diagonal + this.bias[0]!;
        // softplus(-x) = softplus(x) - x: the tiles took the own pair for a negative, or left it out with the duplicates.
        const masked = duplicates !== undefined;
        sums[SUMS.loss]! += statistic.softplus + (masked ? softplus(-x) : -x);
        const notBelow = statistic.notBelow + (masked ? 1 : 0);
        sums[SUMS.hits]! += hitShare(statistic.max, statistic.diagonal, notBelow, this.scale[0]!);
        dLogitBias += (statistic.sigmoid + (masked ? -sigmoid(-x) : -1)) / B;
        if (masked) this.addOwnPair(own, rows.begin + row, sigmoid(x), outputs);
      }
    }
    await group.allReduce(sums, 'sum', { signal });
    return {
      loss: sums[SUMS.loss]! / B,
      parts: undefined,
      dLogitScale: dot(own.image, outputs.dImage_bD),
      dLogitBias,
      accuracy: sums[SUMS.hits]! / B,
    };
  }

  dispose(): Promise<void> {
    return this.programs.dispose();
  }

  /** Resolves with the statistics of the rows, their gradients being written. */
  private async rowTile(
    rows: Range,
    own: Embeddings,
    all: Embeddings,
    duplicates: Duplicates | undefined,
    firstOwn: number,
    { dImage_bD, dText_bD }: ContrastiveLossOutputs,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const { dimension: D } = this.options;
    const outputs = { dImage: rowsOf(dImage_bD, rows, D), dText: rowsOf(dText_bD, rows, D) };
    const scratch = { dImage: this.dImage.subarray(0, rows.size * D), dText: this.dText.subarray(0, rows.size * D) };
    const [firstGradients, secondGradients] = endingIn(outputs, scratch, this.grid.columns);
    const [firstStatistics, secondStatistics] = this.statistics.begin(rows.size);
    const first = { ...firstGradients, after: firstStatistics };
    const second = { ...secondGradients, after: secondStatistics };
    const image = rowsOf(own.image, rows, D);
    const text = rowsOf(own.text, rows, D);
    const factor = this.factor[0]!;
    for (let i = 0; i < image.length; i++) {
      first.dImage[i] = -factor * text[i]!;
      first.dText[i] = -factor * image[i]!;
    }
    const { after } = await sweep(this.grid.columns, first, second, (columns, before, after) => {
      signal?.throwIfAborted();
      const inputs: Record<string, Float32Array> = {
        ...embeddingInputs(own, all, rows, columns, D),
        scale: this.scale,
        bias: this.bias,
        factor: this.factor,
        before: before.after,
        dImageBefore: before.dImage,
        dTextBefore: before.dText,
      };
      if (duplicates !== undefined) {
        inputs.group = rowsOf(duplicates.group_B.subarray(firstOwn), rows, 1);
        inputs.groups = rowsOf(duplicates.group_B, columns, 1);
      }
      return this.programs.of(rows, columns).pass.run(inputs, { ...after });
    });
    return after;
  }

  /** What the mask took from the gradient of an own pair: its probability of being one, of which 1 was subtracted. */
  private addOwnPair(own: Embeddings, row: number, probability: number, outputs: ContrastiveLossOutputs): void {
    const { dimension: D } = this.options;
    const weight = this.factor[0]! * probability;
    for (let at = row * D; at < (row + 1) * D; at++) {
      outputs.dImage_bD[at]! += weight * own.text[at]!;
      outputs.dText_bD[at]! += weight * own.image[at]!;
    }
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
