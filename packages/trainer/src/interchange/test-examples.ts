import type { Examples } from './embed-once.js';
import type { LoadedModel } from './export-model.js';
import { writeWeights } from './test-weights.js';

/** Writes examples as the Python script reads them: pictures channels first, tokens int64. */
export async function writeExamples(path: string, { config }: LoadedModel, examples: Examples): Promise<void> {
  const { samples, tokens } = examples;
  const size = config.vision_cfg.image_size;
  await writeWeights(path, [
    { name: 'images', dtype: 'F32', shape: [samples, 3, size, size], data: channelsFirst(examples, size) },
    {
      name: 'tokens',
      dtype: 'I64',
      shape: [samples, config.text_cfg.context_length],
      data: BigInt64Array.from(tokens, BigInt),
    },
  ]);
}

/** [n,S,S,3] as [n,3,S,S]. */
export function channelsFirst({ samples, images }: Examples, size: number): Float32Array {
  const out = new Float32Array(images.length);
  const plane = size * size;
  for (let sample = 0; sample < samples; sample++)
    for (let i = 0; i < plane; i++)
      for (let channel = 0; channel < 3; channel++)
        out[(sample * 3 + channel) * plane + i] = images[(sample * plane + i) * 3 + channel]!;
  return out;
}
