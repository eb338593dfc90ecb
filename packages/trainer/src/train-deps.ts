import type { BlobStore, CheckpointRecord, Group, RankReport } from '@clipyard/contracts';
import type { DataRoot } from '@clipyard/data';
import type { Engine } from '@clipyard/engine';
import type { TrainLog } from './train-log.js';

/** What a rank gives the trainer to work with. */
export interface TrainDeps {
  readonly engine: Engine;
  readonly group: Group;
  readonly store: BlobStore;
  /** Where data may lie beside the data directory. */
  readonly dataRoots?: readonly DataRoot[];
  report(report: RankReport): void;
  /** Makes the control plane track the checkpoint; returns those that retention lets go. Rank 0 only. */
  recordCheckpoint(checkpoint: CheckpointRecord): Promise<readonly { step: number; prefix: string }[]>;
  readonly log: TrainLog;
}
