import { counterNames } from '@clipyard/model';
import {
  type CheckpointState,
  CONFIG_FILE,
  jsonBytes,
  MANIFEST_FILE,
  type Manifest,
  MODEL_FILE,
  modelHashOf,
  PREPROCESSING,
  parametersImage,
  STATE_FILE,
  TOKENIZER_FILE,
} from '../checkpoint/checkpoint-format.js';
import type { LoadedModel, OutputFile } from './export-model.js';

/** The files of a checkpoint of step 0: what runs start from and evaluations take. `manifestFile` comes last. */
export function* importedCheckpoint({
  source,
  config,
  parameters,
  values,
  updates,
}: LoadedModel): Generator<OutputFile> {
  const state: CheckpointState = {
    version: 2,
    jobId: 'imported',
    step: 0,
    position: 0,
    seed: 0,
    worldSize: 1,
    modelHash: modelHashOf(parameters),
  };
  yield {
    name: MODEL_FILE,
    body: parametersImage(parameters, (name) => values[name]!, {
      names: counterNames(config),
      value: updates,
    }).chunks(),
  };
  yield {
    name: CONFIG_FILE,
    body: jsonBytes({ model_cfg: config, preprocess_cfg: source.preprocess ?? PREPROCESSING }),
  };
  if (source.tokenizer !== undefined) yield { name: TOKENIZER_FILE, body: jsonBytes(source.tokenizer) };
  yield { name: STATE_FILE, body: jsonBytes(state) };
}

/** The file that makes the others a checkpoint. */
export const manifestFile = (files: Manifest['files']): OutputFile => ({
  name: MANIFEST_FILE,
  body: jsonBytes({ version: 1, files } satisfies Manifest),
});
