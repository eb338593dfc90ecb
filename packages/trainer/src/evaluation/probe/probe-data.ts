import { fieldError, type Group } from '@clipyard/contracts';
import type { ClassSet } from '@clipyard/data';
import { ClassificationTally } from '../classification-tally.js';
import type { EmbeddedShare } from '../embedded-share.js';
import type { TaskContext } from '../tasks/task.js';
import { eachScore, type LogisticModel, type LogisticShape, softmaxInPlace } from './logistic-regression.js';

/** The features of this rank's samples that have a class; F features a row. */
export interface ProbeSet {
  /** [·,F]. */
  readonly features: Float32Array;
  /** Classes of all rows; -1 where there is none. */
  readonly labels: Int32Array;
  /** Rows with a class, n. */
  readonly rows: Int32Array;
  readonly share: EmbeddedShare;
}

export interface ProbeData {
  readonly train: ProbeSet;
  readonly test: ProbeSet;
  readonly shape: LogisticShape;
  readonly names: readonly string[] | undefined;
}

/**
 * Samples to learn from and to test on, with classes numbered as those of data.eval: by name where both name them;
 * classes that data.eval does not have are left out. Throws `spec_invalid` where no sample of either has a class.
 */
export async function probeData(
  { group, dataset, embedded, embedder, signal }: TaskContext,
  learned: { readonly share: EmbeddedShare; readonly classes: ClassSet | undefined; readonly path: string },
): Promise<ProbeData> {
  const names = dataset.classes?.names;
  const numberOf = new Map(names?.map((name, i) => [name, i]));
  const theirs = learned.classes?.names;
  const translate = (label: number): number =>
    label < 0 || names === undefined || theirs === undefined ? label : (numberOf.get(theirs[label]!) ?? -1);
  const train = probeSet(learned.share, translate);
  const test = probeSet(embedded, (label) => label);
  const counts = Float64Array.of(train.rows.length, test.rows.length);
  await group.allReduce(counts, 'sum', { signal });
  for (const [i, path, what] of [
    [0, learned.path, 'has no sample with a class of data.eval'],
    [1, 'data.eval', 'has no sample with a class'],
  ] as const) {
    if (counts[i]! > 0) continue;
    throw fieldError('spec_invalid', {
      path,
      message: what,
      remedy: 'Name data whose samples have classes: see `labelColumn` of a csv and `labelKeys` of a webdataset.',
    });
  }
  const classes = names?.length ?? (await largest(group, [train, test], signal)) + 1;
  return { train, test, names, shape: { features: embedder.featureWidth, classes } };
}

function probeSet(share: EmbeddedShare, translate: (label: number) => number): ProbeSet {
  const labels = share.labels.map(translate);
  const rows = Int32Array.from([...labels.keys()].filter((row) => labels[row]! >= 0));
  return { features: share.features!, labels, rows, share };
}

async function largest(group: Group, sets: readonly ProbeSet[], signal: AbortSignal): Promise<number> {
  const found = Int32Array.of(sets.flatMap(({ labels }) => [...labels]).reduce((a, b) => Math.max(a, b), 0));
  await group.allReduce(found, 'max', { signal });
  return found[0]!;
}

/** How a model does on rows of a set, over all ranks. */
export async function testProbe(
  group: Group,
  set: ProbeSet,
  rows: Int32Array,
  shape: LogisticShape,
  model: LogisticModel,
  signal: AbortSignal,
): Promise<ClassificationTally> {
  const tally = new ClassificationTally(shape.classes);
  await eachScore({ ...set, rows }, shape, model, signal, (row, scores) => {
    const label = set.labels[row]!;
    tally.add(scores, label, set.share.groups[row]);
    const own = scores[label]!;
    tally.addCrossEntropy(softmaxInPlace(scores) - own);
  });
  await tally.reduce(group, signal);
  return tally;
}
