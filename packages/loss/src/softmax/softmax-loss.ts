import assert from 'node:assert';
import type { Engine, Program } from '@clipyard/engine';
import type {
  ClipLossOptions,
  ContrastiveLoss,
  ContrastiveLossInputs,
  ContrastiveLossOutputs,
  ContrastiveLossResult,
} from '../contrastive-loss.js';
import { Duplicates } from '../duplicates.js';
import { RowStatistics } from '../row-statistics.js';
import { BEFORE_FIRST_TILE, dot, type Embeddings, embeddingInputs, hitShare, ownRows } from '../tile-inputs.js';
import { TilePrograms } from '../tile-programs.js';
import { endingIn, type Range, rowsOf, sweep, type TileGrid } from '../tiles.js';
import { SpreadTargets } from './label-smoothing.js';
import { RowExchange } from './row-exchange.js';
import {
  gradientSpecs,
  gradientTile,
  type Lse,
  logSumExpsOf,
  ofColumns,
  type SoftmaxVariant,
  type Statistic,
  statisticsOf,
  statisticsSpecs,
  statisticsTile,
  teacherInput,
} from './softmax-tiles.js';

type Programs = { readonly statistics: Program; readonly gradient: Program };

export async function compileSoftmaxLoss(
  engine: Engine,
  grid: TileGrid,
  options: ClipLossOptions,
): Promise<ContrastiveLoss> {
  const { dimension: D, maskDuplicates: masked = false, distill } = options;
  const variant: SoftmaxVariant = { masked, distill };
  const programs = await TilePrograms.compile<Programs>(grid, async (R, C, shape) => ({
    statistics: await engine.compile(statisticsTile(variant), statisticsSpecs(variant, R, C, D), {
      name: `loss ${shape} statistics`,
    }),
    gradient: await engine.compile(gradientTile(variant), gradientSpecs(variant, R, C, D), {
      name: `loss ${shape} gradient`,
    }),
  }));
  return new SoftmaxLoss(engine, grid, options, variant, programs);
}

/** What one call works on. */
interface Call {
  readonly own: Embeddings;
  readonly all: Embeddings;
  readonly teacher: { readonly own: Embeddings; readonly all: Embeddings } | undefined;
  readonly duplicates: Duplicates | undefined;
  /** With label smoothing: the other side's embeddings, spread. */
  readonly spread: { readonly image: SpreadTargets; readonly text: SpreadTargets } | undefined;
  /** The first of this rank's samples in the global batch. */
  readonly first: number;
  readonly signal: AbortSignal | undefined;
}

/** What ranks add up. */
const SUMS = { contrastive: 0, hits: 1, distillation: 2 } as const;

/**
 * Online log-sum-exps of own rows and own columns, tile by tile; an exchange of them; then, tile by tile again, the gradient
 * of the global loss by own rows: the ranks' shares need no sum. Legend: b local rows, B global rows, D dimension.
 */
class SoftmaxLoss implements ContrastiveLoss {
  private readonly scale: Float32Array;
  private readonly teacherScale: Float32Array;
  private readonly statistics: RowStatistics<Statistic>;
  /** Accumulators of one row tile; the other copy is the caller's output. */
  private readonly dImage: Float32Array;
  private readonly dText: Float32Array;
  /** Less the logarithms of the factors on the softmaxes in the gradient. */
  private readonly logSumExps: RowExchange<Lse>;
  private readonly groups_B: Float32Array | undefined;
  /** In the gradient, the factor on each own pair that no tile brings. */
  private readonly ownWeight_b: Float64Array;

  constructor(
    engine: Engine,
    private readonly grid: TileGrid,
    private readonly options: ClipLossOptions,
    variant: SoftmaxVariant,
    private readonly programs: TilePrograms<Programs>,
  ) {
    const { localRows: b, globalRows: B, dimension: D } = options;
    const R = Math.max(...grid.rows.map((tile) => tile.size));
    const floats = (length: number) => engine.allocate('float32', length);
    this.scale = floats(1);
    this.teacherScale = floats(1);
    const names = statisticsOf(variant);
    const maxima = names.filter((name) => name.endsWith('Max'));
    this.statistics = new RowStatistics(
      engine,
      names,
      R,
      Object.fromEntries(maxima.map((name) => [name, BEFORE_FIRST_TILE])),
    );
    this.dImage = floats(R * D);
    this.dText = floats(R * D);
    this.logSumExps = new RowExchange(engine, logSumExpsOf(variant), b, B);
    this.groups_B = variant.masked ? floats(B) : undefined;
    this.ownWeight_b = new Float64Array(b);
  }

  async run(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Promise<ContrastiveLossResult> {
    const { globalRows: B, distill } = this.options;
    const { group, signal } = inputs;
    const call = this.prepare(inputs, outputs);
    const sums = await this.logSumExpPass(call);
    await this.logSumExps.gather(group, signal);
    await Promise.all([group.allReduce(sums, 'sum', { signal }), this.gradientPass(call, outputs)]);
    const contrastive = sums[SUMS.contrastive]! / (2 * B);
    const distillation =
      distill === undefined ? 0 : (distill.weight * distill.temperature ** 2 * sums[SUMS.distillation]!) / (2 * B);
    return {
      loss: contrastive + distillation,
      parts: distill && { contrastive, distillation },
      dLogitScale: dot(call.own.image, outputs.dImage_bD),
      dLogitBias: 0,
      accuracy: sums[SUMS.hits]! / B,
    };
  }

  dispose(): Promise<void> {
    return this.programs.dispose();
  }

  private prepare(inputs: ContrastiveLossInputs, outputs: ContrastiveLossOutputs): Call {
    const { localRows: b, globalRows: B, dimension: D, labelSmoothing = 0, distill } = this.options;
    const { group, imageEmb_BD, textEmb_BD, teacher, duplicateKeys_B2, signal } = inputs;
    assert(group.worldSize * b === B, `compiled for ${B / b} ranks, the group has ${group.worldSize}`);
    assert(imageEmb_BD.length === B * D && textEmb_BD.length === B * D, `embeddings are not [${B},${D}]`);
    assert(outputs.dImage_bD.length === b * D && outputs.dText_bD.length === b * D, `outputs are not [${b},${D}]`);
    this.scale[0] = Math.exp(inputs.logitScale);
    const all = { image: imageEmb_BD, text: textEmb_BD };
    let duplicates: Duplicates | undefined;
    if (this.groups_B !== undefined) {
      assert(duplicateKeys_B2?.length === 2 * B, `keys of duplicates are not [${B},2]`);
      duplicates = new Duplicates(duplicateKeys_B2, this.groups_B);
    }
    let taught: Call['teacher'];
    if (distill !== undefined) {
      const { dimension, temperature } = distill;
      assert(
        teacher?.imageEmb_BD.length === B * dimension && teacher.textEmb_BD.length === B * dimension,
        `the teacher's embeddings are not [${B},${dimension}]`,
      );
      this.teacherScale[0] = Math.exp(teacher.logitScale) / temperature;
      const all = { image: teacher.imageEmb_BD, text: teacher.textEmb_BD };
      taught = { all, own: ownRows(all, group.rank, b, dimension) };
    }
    return {
      all,
      own: ownRows(all, group.rank, b, D),
      teacher: taught,
      duplicates,
      spread:
        labelSmoothing === 0
          ? undefined
          : {
              image: new SpreadTargets(textEmb_BD, D, duplicates),
              text: new SpreadTargets(imageEmb_BD, D, duplicates),
            },
      first: group.rank * b,
      signal,
    };
  }

  /** Inputs that both programs of a tile have. */
  private tileInputs({ own, all, teacher, duplicates, first }: Call, rows: Range, columns: Range) {
    const { dimension: D, distill } = this.options;
    const inputs: Record<string, Float32Array> = {
      ...embeddingInputs(own, all, rows, columns, D),
      scale: this.scale,
    };
    if (duplicates !== undefined) {
      inputs.group = rowsOf(duplicates.group_B.subarray(first), rows, 1);
      inputs.groups = rowsOf(duplicates.group_B, columns, 1);
    }
    if (teacher !== undefined) {
      const taught = embeddingInputs(teacher.own, teacher.all, rows, columns, distill!.dimension);
      for (const [name, values] of Object.entries(taught)) inputs[teacherInput(name)] = values;
      inputs[teacherInput('scale')] = this.teacherScale;
    }
    return inputs;
  }

  /** Fills the log-sum-exps and weights of own pairs; resolves with this rank's sums, losses of both directions added. */
  private async logSumExpPass(call: Call): Promise<Float64Array> {
    const sums = new Float64Array(Object.keys(SUMS).length);
    for (const rows of this.grid.rows) {
      const [first, second] = this.statistics.begin(rows.size);
      const values = await sweep(this.grid.columns, first, second, (columns, before, after) => {
        call.signal?.throwIfAborted();
        const { statistics } = this.programs.of(rows, columns);
        return statistics.run({ ...this.tileInputs(call, rows, columns), before }, { after });
      });
      for (let row = 0; row < rows.size; row++) {
        const statistic = this.statistics.read(values, row);
        this.contrast(call, rows.begin + row, statistic, sums);
        if (call.teacher !== undefined) this.distill(rows.begin + row, statistic, sums);
      }
    }
    return sums;
  }

  private contrast(call: Call, row: number, statistic: Record<Statistic, number>, sums: Float64Array): void {
    const { globalRows: B, labelSmoothing = 0 } = this.options;
    const { duplicates, spread } = call;
    const scale = this.scale[0]!;
    const { diagonal, imageMax, textMax } = statistic;
    let imageLse = imageMax + Math.log(statistic.imageSum);
    let textLse = textMax + Math.log(statistic.textSum);
    let { notBelow } = statistic;
    let ownWeight = 2 * labelSmoothing - 2;
    if (duplicates !== undefined) {
      // The mask takes own pairs out with the duplicates, so they come in here.
      imageLse = logAddExp(imageLse, diagonal);
      textLse = logAddExp(textLse, diagonal);
      notBelow += 1;
      ownWeight += Math.exp(diagonal - imageLse) + Math.exp(diagonal - textLse);
    }
    const factor = scale / (2 * B);
    this.ownWeight_b[row] = factor * ownWeight;
    this.logSumExps.own('imageLse')[row] = imageLse - Math.log(factor);
    this.logSumExps.own('textLse')[row] = textLse - Math.log(factor);
    sums[SUMS.contrastive]! += imageLse + textLse - 2 * (1 - labelSmoothing) * diagonal;
    sums[SUMS.hits]! += hitShare(imageMax, diagonal, notBelow, scale);
    if (spread === undefined) return;
    for (const side of ['image', 'text'] as const) {
      const { contrasted_D } = spread[side].of(call.first + row);
      const emb_D = rowsOf(call.own[side], { begin: row, size: 1 }, this.options.dimension);
      const total = emb_D.reduce((sum, x, k) => sum + x * contrasted_D[k]!, 0);
      sums[SUMS.contrastive]! -= (labelSmoothing * scale * total) / spread[side].count(call.first + row);
    }
  }

  private distill(row: number, statistic: Record<Statistic, number>, sums: Float64Array): void {
    const { globalRows: B, distill } = this.options;
    const { weight, temperature } = distill!;
    const factor = (weight * temperature * this.scale[0]!) / (2 * B);
    for (const side of ['image', 'text'] as const) {
      const learned = statistic[`${side}StudentMax`] + Math.log(statistic[`${side}StudentSum`]);
      const taught = statistic[`${side}TeacherMax`] + Math.log(statistic[`${side}TeacherSum`]);
      this.logSumExps.own(`${side}StudentLse`)[row] = learned - Math.log(factor);
      this.logSumExps.own(`${side}TeacherLse`)[row] = taught - Math.log(factor);
      sums[SUMS.distillation]! += learned - statistic[`${side}Cross`] / statistic[`${side}TeacherSum`];
    }
  }

  private async gradientPass(call: Call, { dImage_bD, dText_bD }: ContrastiveLossOutputs): Promise<void> {
    const { dimension: D } = this.options;
    for (const rows of this.grid.rows) {
      const scratch = {
        dImage: this.dImage.subarray(0, rows.size * D),
        dText: this.dText.subarray(0, rows.size * D),
      };
      const outputs = { dImage: rowsOf(dImage_bD, rows, D), dText: rowsOf(dText_bD, rows, D) };
      const [first, second] = endingIn(outputs, scratch, this.grid.columns);
      this.beforeTiles(call, rows, first);
      await sweep(this.grid.columns, first, second, (columns, before, after) => {
        call.signal?.throwIfAborted();
        const inputs = this.tileInputs(call, rows, columns);
        inputs.dImageBefore = before.dImage;
        inputs.dTextBefore = before.dText;
        for (const name of this.logSumExps.names) {
          inputs[name] = rowsOf(this.logSumExps.own(name), rows, 1);
          inputs[ofColumns(name)] = rowsOf(this.logSumExps.ofAll(name), columns, 1);
        }
        return this.programs.of(rows, columns).gradient.run(inputs, { ...after });
      });
    }
  }

  /** The gradients' part that no tile brings: that of own pairs and of spread targets. */
  private beforeTiles(call: Call, rows: Range, into: { dImage: Float32Array; dText: Float32Array }): void {
    const { dimension: D, globalRows: B, labelSmoothing = 0 } = this.options;
    const { own, spread } = call;
    const spreadFactor = (labelSmoothing * this.scale[0]!) / (2 * B);
    for (let i = 0; i < rows.size; i++) {
      const row = rows.begin + i;
      const weight = this.ownWeight_b[row]!;
      for (let k = 0; k < D; k++) {
        into.dImage[i * D + k] = weight * own.text[row * D + k]!;
        into.dText[i * D + k] = weight * own.image[row * D + k]!;
      }
      if (spread === undefined) continue;
      const image = spread.image.of(call.first + row).weighted_D;
      const text = spread.text.of(call.first + row).weighted_D;
      for (let k = 0; k < D; k++) {
        into.dImage[i * D + k]! -= spreadFactor * image[k]!;
        into.dText[i * D + k]! -= spreadFactor * text[k]!;
      }
    }
  }
}

/** ln(e^a + e^b); a may be -Infinity. */
const logAddExp = (a: number, b: number): number => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
