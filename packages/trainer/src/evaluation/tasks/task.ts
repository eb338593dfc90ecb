import type { EvaluationTask, Group } from '@clipyard/contracts';
import type { Dataset } from '@clipyard/data';
import type { Engine } from '@clipyard/engine';
import type { EmbeddedShare } from '../embedded-share.js';
import type { Embedder } from '../embedder.js';
import type { ZeroShotClassifier } from './zero-shot.js';

export type Values = Readonly<Record<string, number>>;
export type TaskOf<T extends EvaluationTask['type']> = Extract<EvaluationTask, { type: T }>;

/** What a task works with, the same on every rank but for the shares. */
export interface TaskContext {
  readonly engine: Engine;
  readonly group: Group;
  readonly embedder: Embedder;
  readonly dataset: Dataset;
  /** This rank's share of data.eval. */
  readonly embedded: EmbeddedShare;
  /** Seed of the run. */
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** What a task finds: figures, what else there is to know of them, and the classifier whose answers people are shown. */
export interface TaskOutcome {
  readonly values: Values;
  readonly details: Readonly<Record<string, unknown>>;
  readonly classifier?: ZeroShotClassifier;
  /** The figures that corrupted pictures are judged by, for other embeddings [n,D] of the same samples. */
  readonly judge?: (images: Float32Array) => Promise<Values>;
}

/** Some of the figures, as far as they are there. */
export const only = (values: Values, names: readonly string[]): Values =>
  Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)));
