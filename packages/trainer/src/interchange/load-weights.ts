import type { ModelConfig } from '@clipyard/model';
import type { FlatLayout } from '@clipyard/tensor';
import type { TrainLog } from '../train-log.js';
import { configDifferences } from './config-differences.js';
import { matchWeights } from './match-weights.js';
import type { WeightSource } from './weight-source.js';

export interface LoadWeightsOptions {
  readonly config: ModelConfig;
  readonly layout: FlatLayout;
  /** The flat buffer that is filled; what the source lacks, and may lack, keeps its value. */
  readonly buffer: Float32Array;
  /** Where the source stands in the input, for errors. */
  readonly field: string;
  readonly log: TrainLog;
}

/** Fills the flat parameters from a source. Throws `checkpoint_incompatible` before anything is written. */
export async function loadWeights(source: WeightSource, options: LoadWeightsOptions): Promise<void> {
  const { config, layout, buffer, field, log } = options;
  const { weights, notes } = matchWeights(layout.tensors, source, field);
  const differences = configDifferences(source, config);
  for (const warning of differences.warnings) log('warn', `${field}: ${warning}`);
  for (const note of [...differences.notes, ...notes]) log('info', `${field}: ${note}`);
  for (const { name, source: found, convert } of weights)
    layout.view(buffer, name).set(convert(await source.floats(found)));
}
