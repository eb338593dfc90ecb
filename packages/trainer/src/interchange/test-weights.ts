import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelConfig, parameterSpecs } from '@clipyard/model';
import { CounterRandom, type SafetensorsTensor, toBfloat16, toFloat16, writeSafetensors } from '@clipyard/tensor';

import type { OutputFile } from './export-model.js';

/** A model that is small in every way. */
export const TINY: ModelConfig = {
  embed_dim: 16,
  quick_gelu: true,
  vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8, mlp_ratio: 4 },
  text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1, mlp_ratio: 4 },
};

/** Its parameters, all different. */
export const tensorsOf = (config: ModelConfig): SafetensorsTensor[] =>
  parameterSpecs(config).map(({ name, shape }, stream) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const gain = name.endsWith('.weight') && shape.length === 1 ? 1 : 0;
    return {
      name,
      dtype: 'F32',
      shape,
      data: new CounterRandom(1, stream).fillNormal(values, { mean: gain, std: 0.2 }),
    };
  });

export function narrowed(tensor: SafetensorsTensor, dtype: 'F16' | 'BF16'): SafetensorsTensor {
  const narrow = dtype === 'F16' ? toFloat16 : toBfloat16;
  return { ...tensor, dtype, data: Uint16Array.from(tensor.data as Float32Array, (value) => narrow(value)) };
}

export async function writeWeights(
  path: string,
  tensors: readonly SafetensorsTensor[],
  metadata?: Record<string, string>,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(tensors, metadata).chunks()) chunks.push(chunk);
  await writeFile(path, Buffer.concat(chunks));
  return path;
}

/** A directory as open_clip's hub has it. */
export async function writeHubDirectory(directory: string, config: ModelConfig, model: unknown = config) {
  await mkdir(directory, { recursive: true });
  await writeWeights(join(directory, 'open_clip_model.safetensors'), tensorsOf(config));
  await writeFile(join(directory, 'open_clip_config.json'), JSON.stringify({ model_cfg: model, preprocess_cfg: {} }));
  return directory;
}

/** Writes files into a directory, and tells what they are. */
export async function writeFiles(directory: string, files: Iterable<OutputFile>) {
  await mkdir(directory, { recursive: true });
  const written = [];
  for (const { name, body } of files) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body instanceof Uint8Array ? [body] : body) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    await writeFile(join(directory, name), bytes);
    written.push({ name, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
  }
  return written;
}
