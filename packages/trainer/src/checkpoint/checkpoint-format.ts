import { createHash } from 'node:crypto';
import { ClipyardError } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS } from '@clipyard/data';
import type { ModelConfig } from '@clipyard/model';
import { type FlatLayout, type NamedShape, type SafetensorsImage, writeSafetensors } from '@clipyard/tensor';
import { z } from 'zod';

/** The files of a checkpoint in `runs/<job>/step-<n>/`, and what stands in the JSON ones. */
export const MODEL_FILE = 'model.safetensors';
export const CONFIG_FILE = 'open_clip_config.json';
export const TOKENIZER_FILE = 'tokenizer.json';
export const STATE_FILE = 'state.json';
export const MANIFEST_FILE = 'manifest.json';
export const optimizerFile = (rank: number, worldSize: number): string => `optim-${rank}-of-${worldSize}.safetensors`;

const file = z.strictObject({
  name: z.string(),
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const manifestSchema = z.strictObject({ version: z.literal(1), files: z.array(file).min(1) });
export type Manifest = z.infer<typeof manifestSchema>;

export const stateSchema = z.strictObject({
  version: z.literal(2),
  jobId: z.string(),
  /** Finished steps. */
  step: z.int().nonnegative(),
  /** Samples consumed. */
  position: z.int().nonnegative(),
  seed: z.int().nonnegative(),
  worldSize: z.int().positive(),
  /** Of the model's parameters: a checkpoint continues only the model it was made of. */
  modelHash: z.string(),
});
export type CheckpointState = z.infer<typeof stateSchema>;

/** Parses one of the JSON files. Throws `checkpoint_damaged`. */
export function parseJson<T>(schema: z.ZodType<T>, bytes: Uint8Array, name: string): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new ClipyardError('checkpoint_damaged', `${name} does not parse: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

export const jsonBytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/** Of a model's parameters: equal where a checkpoint of one can continue the other. */
export const modelHashOf = (parameters: readonly NamedShape[]): string =>
  createHash('sha256')
    .update(JSON.stringify(parameters.map(({ name, shape }) => [name, shape])))
    .digest('hex');

/** What our pictures are made ready with, in open_clip's words. */
export const PREPROCESSING = { ...CLIP_PIXEL_STATISTICS, interpolation: 'bicubic', resize_mode: 'shortest' } as const;

/** The content of open_clip_config.json. */
export const openClipConfig = (config: ModelConfig): object => ({ model_cfg: config, preprocess_cfg: PREPROCESSING });

/** The file of the weights: open_clip's names and shapes, nothing else. `parameters` is not copied. */
export const parametersImage = (layout: FlatLayout, parameters: Float32Array): SafetensorsImage =>
  writeSafetensors(
    layout.tensors.map(({ name, shape }) => ({ name, dtype: 'F32', shape, data: layout.view(parameters, name) })),
    { format: 'pt' },
  );
