import { type ModelConfig, parseModelConfig } from '@clipyard/model';
import type { WeightSource } from './weight-source.js';

/** Fields of which other values are meant: position embeddings are resampled, and patches left out in training only. */
const FREE = ['vision_cfg.image_size', 'text_cfg.context_length', 'vision_cfg.patch_dropout'];

/**
 * What the source's config says otherwise than ours, where shapes do not tell: the activation and the heads. Weights would
 * load, and embed nonsense. `warnings` are sure, `notes` are what cannot be known.
 */
export function configDifferences(
  source: WeightSource,
  config: ModelConfig,
): { readonly warnings: readonly string[]; readonly notes: readonly string[] } {
  const given = source.modelConfig as { quick_gelu?: boolean } | undefined;
  const ours = activation(config.quick_gelu);
  if (given === undefined) {
    if (isOpenAi(source) && !config.quick_gelu) {
      const warnings = [`The weights look like OpenAI's, which need quick_gelu: true; the model has ${ours}`];
      return { warnings, notes: [] };
    }
    const notes = isOpenAi(source)
      ? []
      : [
          `The weights do not say whether they were made with QuickGELU; the model has ${ours}. OpenAI's need QuickGELU`,
        ];
    return { warnings: [], notes };
  }
  const warnings: string[] = [];
  const theirs = given.quick_gelu === true;
  if (theirs !== config.quick_gelu)
    warnings.push(
      `The weights were made with ${activation(theirs)}, the model has ${ours}: set quick_gelu: ${theirs} in the model config`,
    );
  for (const [path, value] of leaves(parsed(given))) {
    const own = leaves(config).get(path);
    if (path !== 'quick_gelu' && !FREE.includes(path) && own !== value)
      warnings.push(`${path} is ${value} in the config of the weights, ${own} in the model's`);
  }
  return { warnings, notes: [] };
}

const activation = (quick: boolean): string => (quick ? 'QuickGELU (quick_gelu: true)' : 'GELU (quick_gelu: false)');

/** OpenAI's own files hold three numbers that no other has; conversions of them say so in their name. */
function isOpenAi({ entries, metadata, where }: WeightSource): boolean {
  return entries.has('input_resolution') || /openai/i.test([where, ...Object.values(metadata)].join(' '));
}

/** With the defaults filled in; {} for a config that is not one of our models. */
function parsed(given: unknown): unknown {
  try {
    return parseModelConfig(given);
  } catch {
    return {};
  }
}

function leaves(value: unknown, path = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null) return new Map([[path, value]]);
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, path === '' ? key : `${path}.${key}`)]),
  );
}
