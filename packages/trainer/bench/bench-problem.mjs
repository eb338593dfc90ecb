/** Weights and a batch by formula, the same as scripts/reference/torch_step.py makes. */
import { formulaValues, formulaWords } from '@clipyard/testkit';

export const LOGIT_SCALE = Math.fround(Math.log(1 / 0.07));

/** What the parameter of this name and shape holds before the first step. */
export function weightsOf({ name, shape }) {
  if (name === 'logit_scale') return Float32Array.of(LOGIT_SCALE);
  const gain = shape.length === 1 && name.endsWith('.weight');
  const scale = shape.length > 1 && shape.at(-1) >= 512 ? 0.03125 : 0.0625;
  const length = shape.reduce((product, extent) => product * extent, 1);
  return formulaValues(name, length, scale, gain ? 1 : 0);
}

/** Pictures as bytes [batch,S,S,3], and captions [batch,t] whose last token is end-of-text. */
export function batchOf(config, batch) {
  const { image_size: size } = config.vision_cfg;
  const { context_length: length, vocab_size: vocabulary } = config.text_cfg;
  const pixels = Uint8Array.from(formulaWords('images', batch * size * size * 3), (word) => (word >>> 8) % 256);
  const tokens = Int32Array.from(formulaWords('tokens', batch * length), (word) => word % (vocabulary - 2));
  for (let sample = 0; sample < batch; sample++) tokens[(sample + 1) * length - 1] = vocabulary - 1;
  return { pixels, tokens };
}
