import assert from 'node:assert';
import type { Group } from '@clipyard/contracts';
import type { Engine, Program } from '@clipyard/engine';
import {
  BEFORE_FIRST_TILE,
  gradientSpecs,
  gradientTile,
  STATISTICS,
  STATISTICS_WIDTH,
  statisticsSpecs,
  statisticsTile,
  TIE,
} from './tile-functions.js';
import { defaultTileSizes, evenRanges, type Range } from './tiles.js';

/** Legend: W ranks, b local rows, B = W·b global rows, D embedding dimension. */
export interface ContrastiveLossOptions {
  readonly localRows: number;
  readonly globalRows: number;
  readonly dimension: number;
  /** Largest tile of logits; default: whole while b·B <= 2^20, else about 512 x 2048. */
  readonly tileRows?: number;
  readonly tileColumns?: number;
}

export interface ContrastiveLossInputs {
  /** The global batch, gathered: rows of length 1, those of this rank at rank·b. Memory of the engine is not copied. */
  readonly imageEmb_BD: Float32Array;
  readonly textEmb_BD: Float32Array;
  /** ln s. */
  readonly logitScale: number;
  /** Of worldSize B/b. */
  readonly group: Group;
  readonly signal?: AbortSignal;
}

/** Gradients of the global loss with respect to this rank's rows; must not overlap an input. */
export interface ContrastiveLossOutputs {
  readonly dImage_bD: Float32Array;
  readonly dText_bD: Float32Array;
}

export interface ContrastiveLossResult {
  /** Of the global batch, the same on every rank. */
  readonly loss: number;
  /** This rank's share of the gradient by the logit scale: the sum over ranks is the gradient. */
  readonly dLogitScale: number;
  /** Share of images whose own text has the highest logit of the global batch; k equal highest ones count 1/k. */
  readonly accuracy: number;
}

export interface ContrastiveLoss {
  /** Two collectives: an all-gather of 2b values and an all-reduce of two. Throws what the group, the engine and the signal throw. */
  run(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Promise<ContrastiveLossResult>;
  dispose(): Promise<void>;
}

/**
 * Compiles the symmetric InfoNCE loss of CLIP (Radford et al., arXiv 2103.00020) over the global batch and its exact
 * gradient, in tiles of logits: memory is O(B + tile) beside the embeddings, and ranks exchange log-sum-exps only.
 */
export async function compileContrastiveLoss(
  engine: Engine,
  options: ContrastiveLossOptions,
): Promise<ContrastiveLoss> {
  const { localRows: b, globalRows: B, dimension: D } = options;
  assert(b > 0 && D > 0 && B % b === 0, `${B} global rows are no multiple of ${b} local rows`);
  const sizes = defaultTileSizes(b, B);
  const rowTiles = evenRanges(b, options.tileRows ?? sizes.rows);
  const columnTiles = evenRanges(B, options.tileColumns ?? sizes.columns);
  const tiles = new Map<string, TilePrograms>();
  for (const { size: R } of rowTiles) {
    for (const { size: C } of columnTiles) {
      const key = tileKey(R, C);
      if (tiles.has(key)) continue;
      tiles.set(key, {
        statistics: await engine.compile(statisticsTile, statisticsSpecs(R, C, D), { name: `loss ${key} statistics` }),
        gradient: await engine.compile(gradientTile, gradientSpecs(R, C, D), { name: `loss ${key} gradient` }),
      });
    }
  }
  return new TiledContrastiveLoss(engine, { b, B, D }, rowTiles, columnTiles, tiles);
}

interface TilePrograms {
  readonly statistics: Program;
  readonly gradient: Program;
}

const tileKey = (R: number, C: number): string => `${R}x${C}`;

class TiledContrastiveLoss implements ContrastiveLoss {
  private readonly scale: Float32Array;
  /** Statistics of one row tile, and the other copy that a tile writes while it reads the first. */
  private readonly statistics: readonly [Float32Array, Float32Array];
  /** Accumulators of one row tile, likewise: the other copy is the caller's output. */
  private readonly dImage: Float32Array;
  private readonly dText: Float32Array;
  /** Log-sum-exps less ln(s/2B): of this rank's images, then texts; of all ranks, as gathered and in order. */
  private readonly lse_2b: Float32Array;
  private readonly gathered_W2b: Float32Array;
  private readonly imageLse_B: Float32Array;
  private readonly textLse_B: Float32Array;

  constructor(
    engine: Engine,
    private readonly shape: { readonly b: number; readonly B: number; readonly D: number },
    private readonly rowTiles: readonly Range[],
    private readonly columnTiles: readonly Range[],
    private readonly tiles: ReadonlyMap<string, TilePrograms>,
  ) {
    const { b, B, D } = shape;
    const R = Math.max(...rowTiles.map((tile) => tile.size));
    const floats = (length: number) => engine.allocate('float32', length);
    this.scale = floats(1);
    this.statistics = [floats(R * STATISTICS_WIDTH), floats(R * STATISTICS_WIDTH)];
    this.dImage = floats(R * D);
    this.dText = floats(R * D);
    this.lse_2b = floats(2 * b);
    this.gathered_W2b = new Float32Array(2 * B);
    this.imageLse_B = floats(B);
    this.textLse_B = floats(B);
  }

  async run(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Promise<ContrastiveLossResult> {
    const { b, B, D } = this.shape;
    const { imageEmb_BD, textEmb_BD, group, signal } = inputs;
    assert(group.worldSize * b === B, `compiled for ${B / b} ranks, the group has ${group.worldSize}`);
    assert(imageEmb_BD.length === B * D && textEmb_BD.length === B * D, `embeddings are not [${B},${D}]`);
    assert(outputs.dImage_bD.length === b * D && outputs.dText_bD.length === b * D, `outputs are not [${b},${D}]`);
    this.scale[0] = Math.exp(inputs.logitScale);
    const first = group.rank * b * D;
    const own: OwnRows = {
      image_bD: imageEmb_BD.subarray(first, first + b * D),
      text_bD: textEmb_BD.subarray(first, first + b * D),
    };

    const sums = await this.logSumExps(inputs, own);
    await group.allGather(this.lse_2b, this.gathered_W2b, { signal });
    this.inOrder();
    await Promise.all([group.allReduce(sums, 'sum', { signal }), this.gradients(inputs, own, outputs)]);
    return {
      loss: sums[0]! / (2 * B),
      dLogitScale: dot(own.image_bD, outputs.dImage_bD),
      accuracy: sums[1]! / B,
    };
  }

  async dispose(): Promise<void> {
    for (const { statistics, gradient } of this.tiles.values()) {
      await statistics.dispose();
      await gradient.dispose();
    }
  }

  /** Fills `lse_2b`; resolves with this rank's sum of losses (times 2) and of hits. */
  private async logSumExps({ imageEmb_BD, textEmb_BD, signal }: ContrastiveLossInputs, own: OwnRows) {
    const { b, B, D } = this.shape;
    const scale = this.scale[0]!;
    const shift = Math.log(scale / (2 * B));
    const sums = new Float64Array(2);
    for (const rows of this.rowTiles) {
      let [before, after] = this.statistics.map((copy) => copy.subarray(0, rows.size * STATISTICS_WIDTH)) as [
        Float32Array,
        Float32Array,
      ];
      before.fill(0);
      for (let row = 0; row < rows.size; row++) {
        before[row * STATISTICS_WIDTH + STATISTICS.imageMax] = BEFORE_FIRST_TILE;
        before[row * STATISTICS_WIDTH + STATISTICS.textMax] = BEFORE_FIRST_TILE;
      }
      for (const columns of this.columnTiles) {
        signal?.throwIfAborted();
        const given = {
          image: rowsOf(own.image_bD, rows, D),
          text: rowsOf(own.text_bD, rows, D),
          images: rowsOf(imageEmb_BD, columns, D),
          texts: rowsOf(textEmb_BD, columns, D),
          scale: this.scale,
          before,
        };
        await this.tiles.get(tileKey(rows.size, columns.size))!.statistics.run(given, { after });
        [before, after] = [after, before];
      }
      for (let row = 0; row < rows.size; row++) {
        const statistic = (name: keyof typeof STATISTICS) => before[row * STATISTICS_WIDTH + STATISTICS[name]]!;
        const imageLse = statistic('imageMax') + Math.log(statistic('imageSum'));
        const textLse = statistic('textMax') + Math.log(statistic('textSum'));
        const diagonal = statistic('diagonal');
        this.lse_2b[rows.begin + row] = imageLse - shift;
        this.lse_2b[b + rows.begin + row] = textLse - shift;
        sums[0]! += imageLse + textLse - 2 * diagonal;
        if (statistic('imageMax') <= diagonal + scale * TIE) sums[1]! += 1 / statistic('notBelow');
      }
    }
    return sums;
  }

  /** From the order of gathering, [W,2,b], to images and texts apart. */
  private inOrder(): void {
    const { b, B } = this.shape;
    for (let begin = 0; begin < B; begin += b) {
      this.imageLse_B.set(this.gathered_W2b.subarray(2 * begin, 2 * begin + b), begin);
      this.textLse_B.set(this.gathered_W2b.subarray(2 * begin + b, 2 * begin + 2 * b), begin);
    }
  }

  private async gradients(
    { imageEmb_BD, textEmb_BD, signal }: ContrastiveLossInputs,
    own: OwnRows,
    { dImage_bD, dText_bD }: ContrastiveLossOutputs,
  ): Promise<void> {
    const { b, B, D } = this.shape;
    const ofDiagonal = -this.scale[0]! / B;
    for (const rows of this.rowTiles) {
      const image = rowsOf(own.image_bD, rows, D);
      const text = rowsOf(own.text_bD, rows, D);
      let before = { dImage: this.dImage.subarray(0, rows.size * D), dText: this.dText.subarray(0, rows.size * D) };
      let after = { dImage: rowsOf(dImage_bD, rows, D), dText: rowsOf(dText_bD, rows, D) };
      // The copies take turns; the last tile is to write the caller's.
      if (this.columnTiles.length % 2 === 0) [before, after] = [after, before];
      for (let i = 0; i < image.length; i++) {
        before.dImage[i] = ofDiagonal * text[i]!;
        before.dText[i] = ofDiagonal * image[i]!;
      }
      for (const columns of this.columnTiles) {
        signal?.throwIfAborted();
        const given = {
          image,
          text,
          images: rowsOf(imageEmb_BD, columns, D),
          texts: rowsOf(textEmb_BD, columns, D),
          scale: this.scale,
          imageLse: rowsOf(this.lse_2b, rows, 1),
          textLse: rowsOf(this.lse_2b.subarray(b), rows, 1),
          imagesLse: rowsOf(this.imageLse_B, columns, 1),
          textsLse: rowsOf(this.textLse_B, columns, 1),
          dImageBefore: before.dImage,
          dTextBefore: before.dText,
        };
        await this.tiles.get(tileKey(rows.size, columns.size))!.gradient.run(given, { ...after });
        [before, after] = [after, before];
      }
    }
  }
}

interface OwnRows {
  readonly image_bD: Float32Array;
  readonly text_bD: Float32Array;
}

const rowsOf = (matrix: Float32Array, { begin, size }: Range, width: number): Float32Array =>
  matrix.subarray(begin * width, (begin + size) * width);

/** Since A = s·I·Tᵀ and dI = s·G·T, the gradient by ln s, Σ G∘A, is Σ I∘dI: no pass over the logits. */
function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
