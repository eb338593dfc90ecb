import { createHash } from 'node:crypto';
import { type BlobStore, ClipyardError, fieldError, type Group, type RankStart } from '@clipyard/contracts';
import { realDataPath } from '@clipyard/data';
import type { ModelConfig } from '@clipyard/model';
import { readSafetensors, tensorFloats, tensorValues } from '@clipyard/tensor';
import { z } from 'zod';
import { AVERAGE_FILE, CONFIG_FILE, MODEL_FILE, parseJson, TOKENIZER_FILE } from '../checkpoint/checkpoint-format.js';
import { openCheckpoint } from '../checkpoint/checkpoint-reader.js';
import type { TrainState } from '../step/train-state.js';
import type { TrainLog } from '../train-log.js';
import { type LoadWeightsOptions, loadWeights } from './load-weights.js';
import type { WeightSource } from './weight-source.js';
import { openClipConfigSchema, openWeights } from './weights-file.js';

/** Where `model.init` stands in a run spec. */
const FIELD = 'model.init';

/** Which weights of a checkpoint: those that training goes on with, or their moving average where the job keeps one. */
export type CheckpointWeights = 'last' | 'average';

/**
 * Opens what a run starts from; undefined: from initial weights. Throws as `openWeights` does, and `not_found` when the
 * checkpoint of another job is gone.
 */
export async function openInitialWeights(
  store: BlobStore,
  { spec, init, dataDir }: Pick<RankStart, 'spec' | 'init' | 'dataDir'>,
  signal: AbortSignal,
  file: CheckpointWeights = 'last',
): Promise<WeightSource | undefined> {
  const value = spec.model.init;
  if (value === undefined) return undefined;
  return await openReferredWeights(store, { field: FIELD, value, checkpoint: init, dataDir, file }, signal);
}

/**
 * Opens the weights that a spec's field names: a checkpoint of another job, or files. Throws as `openWeights` does, and
 * `not_found` when the checkpoint is gone.
 */
export async function openReferredWeights(
  store: BlobStore,
  reference: {
    readonly field: string;
    readonly value: string;
    readonly checkpoint: RankStart['init'];
    readonly dataDir: string;
    readonly file: CheckpointWeights;
  },
  signal: AbortSignal,
): Promise<WeightSource> {
  const { field, value, checkpoint, dataDir, file } = reference;
  if (value.startsWith('file:'))
    return await openWeights(await realDataPath(dataDir, value.slice('file:'.length), field), field, {
      average: file === 'average' && 'if-kept',
    });
  if (checkpoint === undefined) {
    throw fieldError('not_found', {
      path: field,
      message: 'names a checkpoint that is gone',
      value,
      remedy: 'Name one that GET /v1/jobs/:id/checkpoints lists; retention removes old ones.',
    });
  }
  return await checkpointWeights(store, checkpoint, { where: value, file }, signal);
}

/** The weights of a checkpoint in the store, every file verified. */
async function checkpointWeights(
  store: BlobStore,
  init: NonNullable<RankStart['init']>,
  { where, file }: { readonly where: string; readonly file: CheckpointWeights },
  signal: AbortSignal,
): Promise<WeightSource> {
  const files = await openCheckpoint(store, init, signal);
  const json = async <T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> =>
    files.names.includes(name) ? parseJson(schema, await files.read(name), name) : undefined;
  const { entries, metadata, data } = readSafetensors(
    await files.read(file === 'average' && files.names.includes(AVERAGE_FILE) ? AVERAGE_FILE : MODEL_FILE),
  );
  const config = await json(CONFIG_FILE, openClipConfigSchema);
  return {
    where,
    step: init.step,
    entries,
    metadata,
    modelConfig: config?.model_cfg,
    preprocess: config?.preprocess_cfg,
    tokenizer: await json(TOKENIZER_FILE, z.unknown()),
    floats: async (name) => tensorFloats(entries.get(name)!, data),
    integer: async (name) => Number(tensorValues(entries.get(name)!, data)[0]),
    close: async () => {},
  };
}

/**
 * On all ranks together: fills the parameters from the source, and makes sure that every rank read the same. Throws
 * `checkpoint_incompatible`.
 */
export function startFrom(
  source: WeightSource,
  deps: { readonly group: Group; readonly log: TrainLog },
  state: Pick<TrainState, 'specs' | 'view'>,
  config: ModelConfig,
  signal: AbortSignal,
): Promise<void> {
  const into = { config, parameters: state.specs, viewOf: (name: string) => state.view(name), field: FIELD };
  return fillOnAllRanks(source, deps, into, signal);
}

/** As `startFrom`, for any parameters and field. */
export async function fillOnAllRanks(
  source: WeightSource,
  { group, log }: { readonly group: Group; readonly log: TrainLog },
  into: Omit<LoadWeightsOptions, 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const quiet: TrainLog = () => {};
  await loadWeights(source, { ...into, log: group.rank === 0 ? log : quiet });
  const { field, parameters, viewOf } = into;
  const sum = createHash('sha256');
  for (const { name } of parameters) sum.update(viewOf(name));
  const hash = sum.digest();
  const own = new Int32Array(hash.buffer.slice(hash.byteOffset, hash.byteOffset + hash.byteLength));
  const [least, most] = [own.slice(), own.slice()];
  await group.allReduce(least, 'min', { signal });
  await group.allReduce(most, 'max', { signal });
  if (least.every((value, i) => value === most[i])) return;
  throw new ClipyardError(
    'checkpoint_incompatible',
    `${field}: ranks read different weights from ${source.where}: the file must be the same on every node`,
    {
      fields: [
        {
          path: field,
          message: 'is another file on some nodes',
          value: source.where,
          remedy: 'Copy the same file into the data directory of every node.',
        },
      ],
    },
  );
}
