import type { ModelConfig } from '@clipyard/model';
import type { NamedShape } from '@clipyard/tensor';
import type { TrainLog } from '../train-log.js';
import { configDifferences } from './config-differences.js';
import { matchWeights } from './match-weights.js';
import type { WeightSource } from './weight-source.js';

export interface LoadWeightsOptions {
  readonly config: ModelConfig;
  readonly parameters: readonly NamedShape[];
  /** Where the values of a parameter go; what the source lacks, and may lack, keeps its value. */
  readonly viewOf: (name: string) => Float32Array;
  /** Where the source stands in the input, for errors. */
  readonly field: string;
  readonly log: TrainLog;
}

/** Fills the parameters from a source. Throws `checkpoint_incompatible` before anything is written. */
export async function loadWeights(source: WeightSource, options: LoadWeightsOptions): Promise<void> {
  const { config, parameters, viewOf, field, log } = options;
  const { weights, notes } = matchWeights(parameters, source, field);
  const differences = configDifferences(source, config);
  for (const warning of differences.warnings) log('warn', `${field}: ${warning}`);
  for (const note of [...differences.notes, ...notes]) log('info', `${field}: ${note}`);
  for (const { name, source: found, convert } of weights) viewOf(name).set(convert(await source.floats(found)));
}
