import type { Group } from '@clipyard/contracts';
import type { SampleGroup } from '@clipyard/data';
import { hitProbability, tiedRank } from './tied-ranks.js';

/** Classes that count for the second accuracy. */
const TOP = 5;
/** Classes whose accuracies are listed one by one in the results of a task. */
const MAX_LISTED_CLASSES = 1000;
const GROUPS: readonly SampleGroup[] = ['seen', 'unseen'];

/** Sums of a classifier's hits over labelled samples, for `classes` classes; ties count as in `tied-ranks`. */
export class ClassificationTally {
  /** By class: samples, hits at 1, hits at 5; then by group: samples, hits at 1; then the cross-entropy. */
  readonly #sums: Float64Array;

  constructor(private readonly classes: number) {
    this.#sums = new Float64Array(3 * classes + 2 * GROUPS.length + 1);
  }

  /** Adds one sample: its `scores` [C], its class, and the group that it is reported in besides. */
  add(scores: ArrayLike<number>, label: number, group?: SampleGroup): void {
    const rank = tiedRank(scores, [label]);
    const first = hitProbability(rank, 1);
    const sums = this.#sums;
    sums[3 * label]!++;
    sums[3 * label + 1]! += first;
    sums[3 * label + 2]! += hitProbability(rank, TOP);
    if (group === undefined) return;
    const at = 3 * this.classes + 2 * GROUPS.indexOf(group);
    sums[at]!++;
    sums[at + 1]! += first;
  }

  addCrossEntropy(value: number): void {
    this.#sums[this.#sums.length - 1]! += value;
  }

  /** Adds the sums of all ranks. */
  async reduce(group: Group, signal: AbortSignal): Promise<void> {
    await group.allReduce(this.#sums, 'sum', { signal });
  }

  /** Labelled samples. */
  get count(): number {
    return this.perClass().reduce((sum, { samples }) => sum + samples, 0);
  }

  /** Mean of the cross-entropies that were added. */
  get crossEntropy(): number {
    return this.#sums.at(-1)! / this.count;
  }

  /** Accuracies, 0 to 1, of what there are samples for. `mean_per_class` is over the classes that have samples. */
  values(): Record<string, number> {
    const perClass = this.perClass().filter(({ samples }) => samples > 0);
    const { count } = this;
    const values: Record<string, number> = {};
    if (count === 0) return values;
    const total = (offset: number): number => {
      let sum = 0;
      for (let c = 0; c < this.classes; c++) sum += this.#sums[3 * c + offset]!;
      return sum;
    };
    values.top1 = total(1) / count;
    if (this.classes > TOP) values.top5 = total(2) / count;
    values.mean_per_class = perClass.reduce((sum, { accuracy }) => sum + accuracy!, 0) / perClass.length;
    GROUPS.forEach((name, i) => {
      const at = 3 * this.classes + 2 * i;
      if (this.#sums[at]! > 0) values[name] = this.#sums[at + 1]! / this.#sums[at]!;
    });
    return values;
  }

  /** Samples and accuracy of each class; no accuracy where it has no sample. */
  perClass(): { samples: number; accuracy: number | null }[] {
    return Array.from({ length: this.classes }, (_, c) => {
      const samples = this.#sums[3 * c]!;
      return { samples, accuracy: samples === 0 ? null : this.#sums[3 * c + 1]! / samples };
    });
  }

  /** The classes that have samples, each by its name or its number; undefined where there are too many to list. */
  named(names?: readonly string[]): { class: string | number; samples: number; accuracy: number | null }[] | undefined {
    if (this.classes > MAX_LISTED_CLASSES) return undefined;
    return this.perClass()
      .map((found, i) => ({ class: names?.[i] ?? i, ...found }))
      .filter(({ samples }) => samples > 0);
  }
}
