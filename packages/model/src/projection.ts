import { geluLinear, linear, type Tensor, tf } from '@clipyard/engine';
import { constant, fanIn, normal } from './initializers.js';
import { featureWidth, isResNet, type ModelConfig } from './model-config.js';
import type { SpecList } from './spec-list.js';

/**
 * From a tower's features [m,w] into the shared space [m,D]: the linear map of CLIP (arXiv 2103.00020, section 2.3), or an
 * MLP with one hidden layer of h GELUs and biases: out · gelu(fc · x + fc_bias) + out_bias.
 */
type Tower = 'image' | 'text';

/** What the names of the MLPs' parameters begin with; open_clip has none of them. */
const MLP: Readonly<Record<Tower, string>> = { image: 'visual.projection_head', text: 'text_projection_head' };

/** What open_clip puts before the names of the text tower's parameters: `custom_text` models keep it in a module. */
export const textPrefix = ({ custom_text: custom }: ModelConfig): string => (custom ? 'text.' : '');

/** open_clip's linear map: its name, and whether it is [D,w] with a bias, or [w,D]; undefined: the features are embeddings. */
function linearMap(config: ModelConfig, tower: Tower): { readonly name: string; readonly biased: boolean } | undefined {
  if (tower === 'image')
    return isResNet(config.vision_cfg)
      ? { name: 'visual.attnpool.c_proj', biased: true }
      : { name: 'visual.proj', biased: false };
  const { proj_type: type, proj_bias: biased = false } = config.text_cfg;
  return type === 'none' ? undefined : { name: `${textPrefix(config)}text_projection`, biased };
}

/** Embeddings of any length. */
export function project(
  config: ModelConfig,
  tower: Tower,
  parameters: Readonly<Record<string, Tensor>>,
  features: Tensor,
): Tensor {
  if (config.projection !== undefined) {
    const p = (name: string): Tensor => parameters[`${MLP[tower]}.${name}`]!;
    const hidden = linear(features, p('fc.weight'), p('fc.bias'));
    return geluLinear(hidden, p('out.weight'), p('out.bias'));
  }
  const map = linearMap(config, tower);
  if (map === undefined) return features;
  return map.biased
    ? linear(features, parameters[`${map.name}.weight`]!, parameters[`${map.name}.bias`]!)
    : tf.matMul(features, parameters[map.name]! as never);
}

/**
 * The parameters. They begin as open_clip's, whose deviation is inputs^-½; the MLP's last layer likewise, its first as
 * PyTorch's linear layers do; biases of the text tower and of the MLP's last layer at zero.
 */
export function addProjection(specs: SpecList, config: ModelConfig, tower: Tower): void {
  const { projection, embed_dim: embed } = config;
  const width = tower === 'image' ? featureWidth(config) : config.text_cfg.width;
  if (projection !== undefined) {
    const { hidden } = projection;
    specs.linear(`${MLP[tower]}.fc`, hidden, width, fanIn(width));
    specs.linear(`${MLP[tower]}.out`, embed, hidden, normal(hidden ** -0.5), constant(0));
    return;
  }
  const map = linearMap(config, tower);
  if (map === undefined) return;
  // A ViT's begins by its own width, also where attention pooling has another.
  const own = tower === 'image' && !isResNet(config.vision_cfg) ? config.vision_cfg.width : width;
  const init = normal(own ** -0.5);
  if (!map.biased) specs.add(map.name, [width, embed], init);
  else specs.linear(map.name, embed, width, init, tower === 'text' ? constant(0) : fanIn(width));
}
