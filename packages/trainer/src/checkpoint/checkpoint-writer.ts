import { createHash } from 'node:crypto';
import {
  type BlobStore,
  type CheckpointFile,
  type CheckpointRecord,
  ClipyardError,
  type Group,
} from '@clipyard/contracts';
import { counterNames, type ModelConfig, type ParameterSpec, type SerializedTokenizer } from '@clipyard/model';
import { writeSafetensors } from '@clipyard/tensor';
import type { AveragedWeights } from '../step/averaged-weights.js';
import type { TrainState } from '../step/train-state.js';
import type { TrainLog } from '../train-log.js';
import {
  AVERAGE_FILE,
  type CheckpointState,
  CONFIG_FILE,
  jsonBytes,
  MANIFEST_FILE,
  type Manifest,
  MODEL_FILE,
  openClipConfig,
  optimizerFile,
  parametersImage,
  STATE_FILE,
  TOKENIZER_FILE,
} from './checkpoint-format.js';
import { optimizerParts } from './optimizer-parts.js';

export interface CheckpointWriterDeps {
  readonly store: BlobStore;
  readonly group: Group;
  readonly log: TrainLog;
  /** Makes the control plane track it; returns the checkpoints that retention lets go. */
  recordCheckpoint(checkpoint: CheckpointRecord): Promise<readonly { step: number; prefix: string }[]>;
}

export interface CheckpointWriterOptions {
  readonly jobId: string;
  readonly seed: number;
  readonly modelHash: string;
  readonly config: ModelConfig;
  readonly tokenizer: SerializedTokenizer;
}

export const checkpointPrefix = (jobId: string, step: number): string => `runs/${jobId}/step-${step}`;

interface Snapshot {
  readonly state: CheckpointState;
  readonly metrics: Readonly<Record<string, number>>;
  readonly prefix: string;
  /** This rank's files, once written; an error when one could not be. */
  readonly files: Promise<CheckpointFile[] | ClipyardError>;
  written: boolean;
}

/** Bytes by which each rank tells the others of its optimizer file: written or not, length, sha256. */
const RECEIPT_BYTES = 48;

/**
 * Writes checkpoints while training goes on. Between two steps `begin` copies this rank's share and starts to write;
 * later, between two steps again and once every rank has written (`written` on all), `complete` exchanges receipts, and
 * rank 0 writes the manifest and has the checkpoint recorded. A checkpoint that one rank could not write is dropped by
 * all and removed.
 */
export class CheckpointWriter {
  private snapshot: Snapshot | undefined;
  private finalizing: Promise<void> = Promise.resolve();
  private failure: ClipyardError | undefined;

  constructor(
    private readonly deps: CheckpointWriterDeps,
    private readonly options: CheckpointWriterOptions,
  ) {}

  /** Whether a checkpoint was begun and not completed. */
  get pending(): boolean {
    return this.snapshot !== undefined;
  }

  /** Whether this rank still writes files of the pending checkpoint. */
  get writing(): boolean {
    return this.snapshot !== undefined && !this.snapshot.written;
  }

  /** Copies what must be saved and starts writing it. `averaged`: of the weights, gathered. Only when none is pending. */
  begin(
    state: TrainState,
    averaged: AveragedWeights | undefined,
    { step, position, metrics }: { step: number; position: number; metrics: Readonly<Record<string, number>> },
  ): void {
    const { rank, worldSize } = this.deps.group;
    const { jobId, seed, modelHash } = this.options;
    const checkpointState: CheckpointState = { version: 2, jobId, step, position, seed, worldSize, modelHash };
    const prefix = checkpointPrefix(jobId, step);
    const optimizer = optimizerImage(state);
    // A step is a batch.
    const counters = { names: counterNames(this.options.config), value: step };
    const model = rank === 0 ? modelImage(state.specs, (name) => state.view(name), counters) : undefined;
    const average =
      rank === 0 && averaged !== undefined
        ? modelImage(state.specs, (name) => averaged.view(name), counters)
        : undefined;
    const write = async (): Promise<CheckpointFile[] | ClipyardError> => {
      try {
        const files = [await this.put(prefix, optimizerFile(rank, worldSize), optimizer.chunks())];
        if (model !== undefined) {
          files.push(await this.put(prefix, MODEL_FILE, model.chunks()));
          if (average !== undefined) files.push(await this.put(prefix, AVERAGE_FILE, average.chunks()));
          files.push(await this.put(prefix, CONFIG_FILE, jsonBytes(openClipConfig(this.options.config))));
          files.push(await this.put(prefix, TOKENIZER_FILE, jsonBytes(this.options.tokenizer)));
          files.push(await this.put(prefix, STATE_FILE, jsonBytes(checkpointState)));
        }
        return files;
      } catch (error) {
        return ClipyardError.from(error, 'storage_failed');
      } finally {
        snapshot.written = true;
      }
    };
    const snapshot: Snapshot = {
      state: checkpointState,
      metrics,
      prefix,
      written: false,
      files: Promise.resolve().then(write),
    };
    this.snapshot = snapshot;
  }

  /** On all ranks together: waits for the files of every rank, then makes the checkpoint valid in the background. */
  async complete(signal: AbortSignal): Promise<void> {
    const snapshot = this.snapshot;
    if (snapshot === undefined) return;
    const { group, log } = this.deps;
    const files = await snapshot.files;
    const receipts = new Uint8Array(RECEIPT_BYTES * group.worldSize);
    await group.allGather(receiptOf(files), receipts, { signal });
    this.snapshot = undefined;
    const failed = files instanceof ClipyardError ? files : undefined;
    if (failed !== undefined)
      log('error', `Checkpoint of step ${snapshot.state.step} not written: ${failed.message}`, { code: failed.code });
    const others = readReceipts(receipts);
    const complete = others.every((receipt) => receipt !== undefined);
    this.failure = complete
      ? undefined
      : (failed ??
        new ClipyardError(
          'storage_failed',
          `Another rank could not write the checkpoint of step ${snapshot.state.step}`,
        ));
    if (group.rank !== 0) return;
    await this.finalizing;
    this.finalizing =
      complete && !(files instanceof ClipyardError)
        ? this.finalize(snapshot, files, others as Receipt[])
        : this.drop(snapshot);
  }

  /** Resolves when nothing is written in the background any more. */
  settled(): Promise<void> {
    return this.finalizing;
  }

  /** Lets go of a pending checkpoint that the other ranks will not complete, and resolves when nothing is written any more. */
  async abandon(): Promise<void> {
    const { snapshot } = this;
    this.snapshot = undefined;
    await snapshot?.files;
    await this.finalizing;
    if (snapshot !== undefined && this.deps.group.rank === 0) await this.drop(snapshot);
  }

  /** On all ranks together, at the end: completes what is pending. Throws when the last checkpoint could not be written. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.complete(signal);
    await this.finalizing;
    if (this.failure !== undefined) throw this.failure;
  }

  private async finalize(snapshot: Snapshot, own: CheckpointFile[], receipts: Receipt[]): Promise<void> {
    const { store, log } = this.deps;
    const { state, prefix, metrics } = snapshot;
    const worldSize = state.worldSize;
    const files = [
      ...own,
      ...receipts.slice(1).map((receipt, i) => ({ name: optimizerFile(i + 1, worldSize), ...receipt })),
    ];
    files.sort((a, b) => (a.name < b.name ? -1 : 1));
    const manifest: Manifest = { version: 1, files };
    let expired: readonly { step: number; prefix: string }[];
    try {
      const bytes = jsonBytes(manifest);
      await store.put(`${prefix}/${MANIFEST_FILE}`, bytes);
      expired = await this.deps.recordCheckpoint({
        step: state.step,
        position: state.position,
        prefix,
        bytes: files.reduce((total, file) => total + file.bytes, bytes.byteLength),
        manifestSha256: createHash('sha256').update(bytes).digest('hex'),
        worldSize,
        metrics,
        files,
      });
    } catch (error) {
      this.failure = ClipyardError.from(error, 'storage_failed');
      log('error', `Checkpoint of step ${state.step} not completed: ${this.failure.message}`, {
        code: this.failure.code,
      });
      await this.drop(snapshot);
      return;
    }
    // The new one is on record by now: whatever becomes of the old ones, it stays.
    for (const old of expired) await this.remove(old.prefix, `expired checkpoint of step ${old.step}`);
  }

  private async drop({ prefix, state }: Snapshot): Promise<void> {
    await this.remove(prefix, `incomplete checkpoint of step ${state.step}`);
  }

  private async remove(prefix: string, what: string): Promise<void> {
    try {
      await this.deps.store.delete(`${prefix}/`);
    } catch (error) {
      this.deps.log('warn', `Could not remove the ${what}: ${(error as Error).message}`);
    }
  }

  private async put(
    prefix: string,
    name: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
  ): Promise<CheckpointFile> {
    const { bytes, sha256 } = await this.deps.store.put(`${prefix}/${name}`, body);
    return { name, bytes, sha256 };
  }
}

/** open_clip's names and shapes, nothing else; values are copied here, so training may go on. */
function modelImage(
  specs: readonly ParameterSpec[],
  viewOf: (name: string) => Float32Array,
  counters: Parameters<typeof parametersImage>[2],
) {
  return parametersImage(specs, (name) => viewOf(name).slice(), counters);
}

/** The optimizer's state of one slice of the flat parameters, likewise. */
function optimizerImage(state: TrainState) {
  return writeSafetensors(
    optimizerParts(state).map(({ name, dtype, values }) => ({
      name,
      dtype,
      shape: [values.length],
      data: values.slice(),
    })),
    { start: String(state.slice.start), end: String(state.slice.end) },
  );
}

interface Receipt {
  readonly bytes: number;
  readonly sha256: string;
}

function receiptOf(files: CheckpointFile[] | ClipyardError): Uint8Array {
  const receipt = new Uint8Array(RECEIPT_BYTES);
  if (files instanceof ClipyardError) return receipt;
  const [optimizer] = files;
  receipt[0] = 1;
  new DataView(receipt.buffer).setFloat64(8, optimizer!.bytes);
  receipt.set(Buffer.from(optimizer!.sha256, 'hex'), 16);
  return receipt;
}

function readReceipts(receipts: Uint8Array): (Receipt | undefined)[] {
  const view = new DataView(receipts.buffer, receipts.byteOffset);
  return Array.from({ length: receipts.byteLength / RECEIPT_BYTES }, (_, rank) => {
    const at = rank * RECEIPT_BYTES;
    if (receipts[at] !== 1) return undefined;
    return { bytes: view.getFloat64(at + 8), sha256: Buffer.from(receipts.subarray(at + 16, at + 48)).toString('hex') };
  });
}
