import { geluLinear, linear, type Tensor, tf } from '@clipyard/engine';
import type { ModelConfig } from './model-config.js';

/**
 * From a tower's features [m,w] into the shared space [m,D]: the linear map of CLIP (arXiv 2103.00020, section 2.3), or an
 * MLP with one hidden layer of h GELUs and biases: out · gelu(fc · x + fc_bias) + out_bias.
 */
type Tower = 'image' | 'text';

/** Open_clip's names of the linear maps, [w,D]. */
const LINEAR: Readonly<Record<Tower, string>> = { image: 'visual.proj', text: 'text_projection' };
/** What the names of the MLPs' parameters begin with; open_clip has none of them. */
const MLP: Readonly<Record<Tower, string>> = { image: 'visual.projection_head', text: 'text_projection_head' };

/** Embeddings of any length. */
export function project(
  { projection }: ModelConfig,
  tower: Tower,
  parameters: Readonly<Record<string, Tensor>>,
  features: Tensor,
): Tensor {
  if (projection === undefined) return tf.matMul(features, parameters[LINEAR[tower]]! as never);
  const p = (name: string): Tensor => parameters[`${MLP[tower]}.${name}`]!;
  const hidden = linear(features, p('fc.weight'), p('fc.bias'));
  return geluLinear(hidden, p('out.weight'), p('out.bias'));
}

type Shape = readonly [name: string, shape: number[], init: 'linear' | 'fanIn' | 'zero', inputs: number];

/**
 * The parameters' names and shapes. They begin: `linear` as open_clip's projection does, normal with deviation inputs^-½,
 * the MLP's last layer likewise; `fanIn` as PyTorch's linear layers do, uniform within ±inputs^-½; the last bias at zero.
 */
export function projectionShapes({ projection, embed_dim: embed }: ModelConfig, tower: Tower, width: number): Shape[] {
  if (projection === undefined) return [[LINEAR[tower], [width, embed], 'linear', width]];
  const { hidden } = projection;
  const prefix = MLP[tower];
  return [
    [`${prefix}.fc.weight`, [hidden, width], 'fanIn', width],
    [`${prefix}.fc.bias`, [hidden], 'fanIn', width],
    [`${prefix}.out.weight`, [embed, hidden], 'linear', hidden],
    [`${prefix}.out.bias`, [embed], 'zero', hidden],
  ];
}
