import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { type BlobStore, ClipyardError, type Group, type RankStart } from '@clipyard/contracts';
import { readSafetensors, type SafetensorsFile, tensorFloats, tensorValues } from '@clipyard/tensor';
import type { TrainState } from '../step/train-state.js';
import type { TrainLog } from '../train-log.js';
import {
  type CheckpointState,
  MANIFEST_FILE,
  type Manifest,
  MODEL_FILE,
  manifestSchema,
  optimizerFile,
  parseJson,
  STATE_FILE,
  stateSchema,
} from './checkpoint-format.js';
import { type OptimizerPart, optimizerParts } from './optimizer-parts.js';

type Candidate = RankStart['checkpoints'][number];

export interface RestoreDeps {
  readonly store: BlobStore;
  readonly group: Group;
  readonly log: TrainLog;
}

/**
 * On all ranks together: restores the newest checkpoint that is whole on every rank, verifying the hash of every file it
 * reads, for any world size. A damaged one is said and passed over. Undefined when there is none to use.
 */
export async function restoreNewest(
  deps: RestoreDeps,
  candidates: readonly Candidate[],
  state: TrainState,
  modelHash: string,
  signal: AbortSignal,
): Promise<CheckpointState | undefined> {
  const { group, log } = deps;
  for (const candidate of candidates) {
    let restored: CheckpointState | undefined;
    try {
      restored = await restore(deps, candidate, state, modelHash, signal);
    } catch (error) {
      const { code, message } = ClipyardError.from(error, 'checkpoint_damaged');
      // A store that cannot be asked says nothing of the checkpoint: training does not go back for that.
      if (['checkpoint_incompatible', 'storage_unreachable', 'storage_denied'].includes(code)) throw error;
      signal.throwIfAborted();
      log('error', `The checkpoint of step ${candidate.step} cannot be used (${message}); trying the one before`, {
        code,
        step: candidate.step,
      });
    }
    const usable = Int32Array.of(restored === undefined ? 0 : 1);
    await group.allReduce(usable, 'min', { signal });
    if (usable[0] === 1) return restored;
  }
  return undefined;
}

/** Reads files of a checkpoint, each only as its hash says. */
export interface VerifiedFiles {
  readonly names: readonly string[];
  /** Throws `checkpoint_damaged`. */
  read(name: string): Promise<Uint8Array>;
}

/** Opens a recorded checkpoint. Throws `checkpoint_damaged` unless its manifest is the one on record. */
export async function openCheckpoint(
  store: BlobStore,
  { prefix, manifestSha256 }: Pick<Candidate, 'prefix' | 'manifestSha256'>,
  signal: AbortSignal,
): Promise<VerifiedFiles> {
  const manifestBytes = await readBlob(store, `${prefix}/${MANIFEST_FILE}`, signal);
  if ((await sha256(manifestBytes)) !== manifestSha256)
    throw new ClipyardError('checkpoint_damaged', `${MANIFEST_FILE} is not the one that was recorded`);
  const manifest = parseJson(manifestSchema, manifestBytes, MANIFEST_FILE);
  return {
    names: manifest.files.map(({ name }) => name),
    read: (name) => readVerified(store, prefix, manifest, name, signal),
  };
}

async function restore(
  { store }: RestoreDeps,
  candidate: Candidate,
  state: TrainState,
  modelHash: string,
  signal: AbortSignal,
): Promise<CheckpointState> {
  const files = await openCheckpoint(store, candidate, signal);
  const verified = (name: string): Promise<Uint8Array> => files.read(name);

  const saved = parseJson(stateSchema, await verified(STATE_FILE), STATE_FILE);
  if (saved.modelHash !== modelHash) {
    throw new ClipyardError(
      'checkpoint_incompatible',
      `The checkpoint of step ${saved.step} was made of another model; submit the changed model as a new job.`,
    );
  }
  fillParameters(state, readSafetensors(await verified(MODEL_FILE)));
  const parts = optimizerParts(state);
  for (const { values } of parts) values.fill(0);
  for (let rank = 0; rank < saved.worldSize; rank++) {
    const { start, end } = state.layout.shard(rank, saved.worldSize);
    const from = Math.max(start, state.slice.start);
    const to = Math.min(end, state.slice.end);
    if (from >= to) continue; // verified by the ranks that need it
    const file = readSafetensors(await verified(optimizerFile(rank, saved.worldSize)));
    for (const part of parts) copySlice(file, part, { from, to, fileStart: start, slice: state.slice });
  }
  return saved;
}

function fillParameters(state: TrainState, file: SafetensorsFile): void {
  for (const { name, shape } of state.specs) {
    const entry = file.entries.get(name);
    if (entry === undefined || String(entry.shape) !== String(shape))
      throw new ClipyardError('checkpoint_damaged', `${MODEL_FILE} lacks ${name} of shape [${shape}]`);
    state.view(name).set(tensorFloats(entry, file.data));
  }
}

interface Cut {
  /** Elements [from, to) of the flat buffer. */
  readonly from: number;
  readonly to: number;
  /** Where the file's slice begins. */
  readonly fileStart: number;
  /** What the part stands for. */
  readonly slice: TrainState['slice'];
}

function copySlice(file: SafetensorsFile, { name, dtype, values }: OptimizerPart, cut: Cut): void {
  const entry = file.entries.get(name);
  if (entry === undefined || entry.dtype !== dtype) {
    throw new ClipyardError(
      'checkpoint_incompatible',
      `The checkpoint's optimizer has no ${name} of type ${dtype}: it was written with another optimizer.momentDtype or emaDecay; submit the changed run as a new job.`,
    );
  }
  const { from, to, fileStart, slice } = cut;
  const elements = (slice.end - slice.start) / values.length;
  const saved = tensorValues(entry, file.data).subarray((from - fileStart) / elements, (to - fileStart) / elements);
  (values as Uint8Array).set(saved as Uint8Array, (from - slice.start) / elements);
}

async function readVerified(
  store: BlobStore,
  prefix: string,
  manifest: Manifest,
  name: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const file = manifest.files.find((candidate) => candidate.name === name);
  if (file === undefined) throw new ClipyardError('checkpoint_damaged', `${MANIFEST_FILE} does not list ${name}`);
  const bytes = await readBlob(store, `${prefix}/${name}`, signal);
  if (bytes.byteLength !== file.bytes)
    throw new ClipyardError(
      'checkpoint_damaged',
      `${name} has ${bytes.byteLength} bytes, the manifest says ${file.bytes}`,
    );
  if ((await sha256(bytes)) !== file.sha256)
    throw new ClipyardError('checkpoint_damaged', `${name} does not match its sha256`);
  return bytes;
}

async function readBlob(store: BlobStore, key: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    return await store.read(key, { signal });
  } catch (error) {
    if (error instanceof ClipyardError && error.code === 'not_found')
      throw new ClipyardError('checkpoint_damaged', `${key} is missing`, { cause: error });
    throw error;
  }
}

const HASH_CHUNK_BYTES = 16 << 20;

/** Yields to the event loop between chunks, so that sockets do not stall over large files. */
async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.byteLength; at += HASH_CHUNK_BYTES) {
    hash.update(bytes.subarray(at, at + HASH_CHUNK_BYTES));
    if (at + HASH_CHUNK_BYTES < bytes.byteLength) await setImmediate();
  }
  return hash.digest('hex');
}
