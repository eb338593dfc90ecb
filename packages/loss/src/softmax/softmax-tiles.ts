import { gemm, type Specs, type Tensor, type TensorFunction, tf } from '@clipyard/engine';
import { countNotBelow, duplicateMask, duplicateSpecs, embeddingSpecs, logits, ownLogits } from '../tile-inputs.js';

/** What is computed of one tile, in both directions; for the legend see `tile-inputs.ts`. */
export interface SoftmaxVariant {
  readonly masked: boolean;
  readonly distill: { readonly dimension: number; readonly temperature: number } | undefined;
}

/** Statistics of a row. `Sum` is that of e^(logit - max). */
const CONTRASTIVE = ['imageMax', 'imageSum', 'textMax', 'textSum', 'diagonal', 'notBelow'] as const;
/** The same of all pairs, of the student's and the teacher's logits over the temperature; `Cross`: Σ e^(teacher's - max) · student's. */
const DISTILLATION = [
  'imageStudentMax',
  'imageStudentSum',
  'imageTeacherMax',
  'imageTeacherSum',
  'imageCross',
  'textStudentMax',
  'textStudentSum',
  'textTeacherMax',
  'textTeacherSum',
  'textCross',
] as const;
export type Statistic = (typeof CONTRASTIVE)[number] | (typeof DISTILLATION)[number];

export const statisticsOf = ({ distill }: SoftmaxVariant): readonly Statistic[] =>
  distill === undefined ? CONTRASTIVE : [...CONTRASTIVE, ...DISTILLATION];

/** Log-sum-exps, the names under which rows bring them to the other ranks. */
const CONTRASTIVE_LSE = ['imageLse', 'textLse'] as const;
const DISTILLATION_LSE = ['imageStudentLse', 'imageTeacherLse', 'textStudentLse', 'textTeacherLse'] as const;
export type Lse = (typeof CONTRASTIVE_LSE)[number] | (typeof DISTILLATION_LSE)[number];

export const logSumExpsOf = ({ distill }: SoftmaxVariant): readonly Lse[] =>
  distill === undefined ? CONTRASTIVE_LSE : [...CONTRASTIVE_LSE, ...DISTILLATION_LSE];

/** The name of the columns' values as inputs. */
export const ofColumns = (name: Lse): string => `columns:${name}`;

type Inputs = Record<string, Tensor>;

function variantSpecs({ masked, distill }: SoftmaxVariant, R: number, C: number, D: number): Specs {
  const specs = { ...embeddingSpecs(R, C, D), ...(masked ? duplicateSpecs(R, C) : {}) };
  if (distill === undefined) return specs;
  const teacher = Object.entries(embeddingSpecs(R, C, distill.dimension));
  return { ...specs, ...Object.fromEntries(teacher.map(([name, spec]) => [teacherInput(name), spec])) };
}

/** The teacher's embeddings as inputs; its scale is divided by the temperature. */
export const teacherInput = (name: string): string => `teacher:${name}`;

interface Directions {
  readonly image: Tensor;
  readonly text: Tensor;
}

/** [R,C] both ways: rows' images by columns' texts, and rows' texts by columns' images. */
const bothWays = (inputs: Inputs, name = (input: string) => input): Directions => {
  const of = (input: string): Tensor => inputs[name(input)]!;
  return {
    image: logits(of('image'), of('texts'), of('scale')),
    text: logits(of('text'), of('images'), of('scale')),
  };
};

/** What the contrastive term and what the distillation are made of. */
function tileLogits(inputs: Inputs, { masked, distill }: SoftmaxVariant) {
  const all = bothWays(inputs);
  const mask = masked ? duplicateMask(inputs) : undefined;
  const contrasted =
    mask === undefined ? all : { image: tf.add(all.image, mask) as Tensor, text: tf.add(all.text, mask) as Tensor };
  if (distill === undefined) return { contrasted };
  const { temperature } = distill;
  const cooled = (x: Tensor): Tensor => (temperature === 1 ? x : tf.mul(x, 1 / temperature));
  return {
    contrasted,
    student: { image: cooled(all.image), text: cooled(all.text) },
    teacher: bothWays(inputs, teacherInput),
  };
}

/** Online log-sum-exp (Milakov and Gimelshein, arXiv 1805.02867): running maximum and sum, taken on by one tile. */
function takeOn(logits_RC: Tensor, max_R1: Tensor, sum_R1: Tensor) {
  const max = tf.maximum(max_R1, tf.max(logits_RC, 1, true)) as Tensor;
  const rescale = tf.exp(tf.sub(max_R1, max));
  const exponentials = tf.exp(tf.sub(logits_RC, max));
  const sum = tf.add(tf.mul(sum_R1, rescale), tf.sum(exponentials, 1, true)) as Tensor;
  return { max, sum, rescale, exponentials };
}

export const statisticsSpecs = (variant: SoftmaxVariant, R: number, C: number, D: number): Specs => ({
  ...variantSpecs(variant, R, C, D),
  before: { shape: [R, statisticsOf(variant).length] },
});

/** Takes the statistics of the rows (`before`) on by one tile (`after`). */
export const statisticsTile =
  (variant: SoftmaxVariant): TensorFunction =>
  (inputs) => {
    const names = statisticsOf(variant);
    const { before, scale } = inputs as { before: Tensor; scale: Tensor };
    const R = before.shape[0]!;
    const column = (name: Statistic): Tensor => tf.slice(before, [0, names.indexOf(name)], [R, 1]);
    const { contrasted, student, teacher } = tileLogits(inputs, variant);
    const diagonal = ownLogits(inputs);
    const after: Partial<Record<Statistic, Tensor>> = {
      diagonal,
      notBelow: tf.add(column('notBelow'), countNotBelow(contrasted.image, diagonal, scale)),
    };
    for (const side of ['image', 'text'] as const) {
      const own = takeOn(contrasted[side], column(`${side}Max`), column(`${side}Sum`));
      Object.assign(after, { [`${side}Max`]: own.max, [`${side}Sum`]: own.sum });
      if (student === undefined) continue;
      const learned = takeOn(student[side], column(`${side}StudentMax`), column(`${side}StudentSum`));
      const taught = takeOn(teacher[side], column(`${side}TeacherMax`), column(`${side}TeacherSum`));
      const cross = tf.sum(tf.mul(taught.exponentials, student[side]), 1, true);
      Object.assign(after, {
        [`${side}StudentMax`]: learned.max,
        [`${side}StudentSum`]: learned.sum,
        [`${side}TeacherMax`]: taught.max,
        [`${side}TeacherSum`]: taught.sum,
        [`${side}Cross`]: tf.add(tf.mul(column(`${side}Cross`), taught.rescale), cross),
      });
    }
    return {
      after: tf.concat(
        names.map((name) => after[name]!),
        1,
      ),
    };
  };

export const gradientSpecs = (variant: SoftmaxVariant, R: number, C: number, D: number): Specs => ({
  ...variantSpecs(variant, R, C, D),
  ...Object.fromEntries(
    // Less the logarithm of the factor that their weights e^(logit - lse) are to come out multiplied by.
    logSumExpsOf(variant).flatMap((name) => [
      [name, { shape: [R, 1] }],
      [ofColumns(name), { shape: [1, C] }],
    ]),
  ),
  dImageBefore: { shape: [R, D] },
  dTextBefore: { shape: [R, D] },
});

/**
 * Adds one tile's share factor · (e^(A - lse_row) + e^(A - lse_column)) · columns to the gradients of the rows; with a
 * teacher also that of the student's less the teacher's softmaxes.
 */
export const gradientTile =
  (variant: SoftmaxVariant): TensorFunction =>
  (inputs) => {
    const { contrasted, student, teacher } = tileLogits(inputs, variant);
    const weights = (side: keyof Directions): Tensor => {
      const other = side === 'image' ? 'text' : 'image';
      const softmaxes = (logits_RC: Tensor, row: Lse, column: Lse): Tensor =>
        tf.add(tf.exp(tf.sub(logits_RC, inputs[row]!)), tf.exp(tf.sub(logits_RC, inputs[ofColumns(column)]!)));
      const own = softmaxes(contrasted[side], `${side}Lse`, `${other}Lse`);
      if (student === undefined) return own;
      const learned = softmaxes(student[side], `${side}StudentLse`, `${other}StudentLse`);
      const taught = softmaxes(teacher[side], `${side}TeacherLse`, `${other}TeacherLse`);
      return tf.add(own, tf.sub(learned, taught));
    };
    return {
      dImage: gemm(weights('image'), inputs.texts!, inputs.dImageBefore!),
      dText: gemm(weights('text'), inputs.images!, inputs.dTextBefore!),
    };
  };
