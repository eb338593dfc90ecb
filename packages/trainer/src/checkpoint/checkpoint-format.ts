import { createHash } from 'node:crypto';
import { ClipyardError } from '@clipyard/contracts';
import { CLIP_PIXEL_STATISTICS } from '@clipyard/data';
import type { ModelConfig, ParameterSpec } from '@clipyard/model';
import {
  type NamedShape,
  narrowToBfloat16,
  narrowToFloat16,
  type SafetensorsImage,
  writeSafetensors,
} from '@clipyard/tensor';
import { z } from 'zod';

/** The files of a checkpoint in `runs/<job>/step-<n>/`, and what stands in the JSON ones. */
export const MODEL_FILE = 'model.safetensors';
/** The moving average of the weights, where one is kept. */
export const AVERAGE_FILE = 'model_ema.safetensors';
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

/** Of a model's parameters and how they are trained: equal where a checkpoint of one can continue the other. */
export function modelHashOf(parameters: readonly ParameterSpec[]): string {
  const hash = createHash('sha256').update(JSON.stringify(parameters.map(({ name, shape }) => [name, shape])));
  // They order the flat buffer, of which optimizer files hold slices.
  const tuning = parameters.map(({ frozen, lrScale, storage }) => ({ frozen, lrScale, storage }));
  if (tuning.some((of) => Object.values(of).some((value) => value !== undefined))) hash.update(JSON.stringify(tuning));
  return hash.digest('hex');
}

/** What our pictures are made ready with, in open_clip's words. */
export const PREPROCESSING = { ...CLIP_PIXEL_STATISTICS, interpolation: 'bicubic', resize_mode: 'shortest' } as const;

/** The content of open_clip_config.json. */
export const openClipConfig = (config: ModelConfig): object => ({ model_cfg: config, preprocess_cfg: PREPROCESSING });

/** The file of the weights: open_clip's names and shapes, nothing else. Values are not copied. */
export const parametersImage = (
  parameters: readonly (NamedShape & Pick<ParameterSpec, 'storage'>)[],
  valuesOf: (name: string) => Float32Array,
  counters: { readonly names: readonly string[]; readonly value: number },
): SafetensorsImage =>
  writeSafetensors(
    [
      ...parameters.map(({ name, shape, storage }) => ({ name, shape, ...stored(storage, valuesOf(name)) })),
      ...counters.names.map((name) => ({
        name,
        shape: [],
        dtype: 'I64' as const,
        data: BigInt64Array.of(BigInt(counters.value)),
      })),
    ],
    { format: 'pt' },
  );

/** Values as the file holds them, exactly: weights of 16 bits have been rounded. */
function stored(storage: ParameterSpec['storage'], values: Float32Array) {
  switch (storage) {
    case undefined:
      return { dtype: 'F32' as const, data: values };
    case 'bf16':
      return { dtype: 'BF16' as const, data: narrowToBfloat16(values, new Uint16Array(values.length)) };
    case 'fp16':
      return { dtype: 'F16' as const, data: narrowToFloat16(values, new Uint16Array(values.length)) };
  }
}
