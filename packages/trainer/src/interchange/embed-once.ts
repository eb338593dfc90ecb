import type { Engine } from '@clipyard/engine';
import { parameterSpecs, pooledRows } from '@clipyard/model';
import { CounterRandom } from '@clipyard/tensor';
import { compileTower } from '../step/tower-programs.js';
import type { LoadedModel } from './export-model.js';

/** Some pictures and captions. Legend: n of each, S side of a picture, t context length. */
export interface Examples {
  readonly samples: number;
  /** [n,S,S,3], normalised. */
  readonly images: Float32Array;
  /** [n,t]. */
  readonly tokens: Int32Array;
}

/** Embeddings [n,D] of length 1 of a loaded model, on an engine: what its exports are compared with. */
export async function embedOnce(
  engine: Engine,
  { config, values }: LoadedModel,
  { samples, images, tokens }: Examples,
): Promise<{ readonly image: Float32Array; readonly text: Float32Array }> {
  const specs = parameterSpecs(config);
  const embed = async (which: 'image' | 'text', own: Record<string, Float32Array | Int32Array>) => {
    const program = await compileTower(engine, which, { config, parameters: specs, samples });
    const inputs = Object.fromEntries(Object.entries({ ...values, ...own }).filter(([name]) => name in program.inputs));
    const results = await program.run(inputs);
    await program.dispose();
    return results[which] as Float32Array;
  };
  return {
    image: await embed('image', { images }),
    text: await embed('text', { tokens, ends: pooledRows(config.text_cfg, tokens) }),
  };
}

/** Pictures of noise, each with a colour of its own, and captions of random tokens, the same for the same model. */
export function exampleInputs({ config }: Pick<LoadedModel, 'config'>, samples: number): Examples {
  const { image_size: size } = config.vision_cfg;
  const { context_length: length, vocab_size: words } = config.text_cfg;
  const random = new CounterRandom(0, 0);
  const images = random.fillNormal(new Float32Array(samples * size * size * 3));
  const colours = new CounterRandom(0, 1).fillNormal(new Float32Array(samples * 3));
  images.forEach((value, i) => {
    images[i] = value + colours[3 * Math.floor(i / (size * size * 3)) + (i % 3)]!;
  });
  const tokens = new Int32Array(samples * length);
  const draws = random.fillUniform(new Float32Array(samples * length));
  for (let sample = 0; sample < samples; sample++) {
    const end = 1 + Math.floor(draws[sample * length]! * (length - 1));
    const row = tokens.subarray(sample * length, (sample + 1) * length);
    for (let i = 1; i < end; i++) row[i] = 1 + Math.floor(draws[sample * length + i]! * (words - 4));
    row[0] = words - 2;
    row[end] = words - 1;
  }
  return { samples, images, tokens };
}
