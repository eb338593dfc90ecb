import { constant, fanIn, normal, xavier } from './initializers.js';
import { DEFAULT_POOLER, type ModelConfig, type VitConfig } from './model-config.js';
import { addProjection } from './projection.js';
import type { SpecList } from './spec-list.js';

/** The vision transformer's parameters. */
export function addVit(specs: SpecList, config: ModelConfig, vision: VitConfig): void {
  const { embed_dim: embed } = config;
  const { width, patch_size: patch, attentional_pool: pool } = vision;
  const patches = (vision.image_size / patch) ** 2;
  const scale = width ** -0.5;
  const pooled = pool ? embed : width;
  specs.add('visual.class_embedding', [width], normal(scale));
  specs.add('visual.positional_embedding', [patches + 1, width], normal(scale));
  addProjection(specs, config, 'image');
  specs.add('visual.conv1.weight', [width, 3, patch, patch], fanIn(3 * patch ** 2));
  if (!vision.no_ln_pre) specs.norm('visual.ln_pre', width);
  const hidden = Math.floor(width * vision.mlp_ratio);
  for (let layer = 0; layer < vision.layers; layer++) {
    specs.block(`visual.transformer.resblocks.${layer}`, width, hidden, {
      inProj: xavier(3 * width, width),
      outProj: fanIn(width),
      fc: fanIn(width),
      proj: fanIn(hidden),
    });
  }
  if (pool) addPooler(specs, vision, embed);
  specs.norm('visual.ln_post', pooled);
}

/** Learned queries of the embedding's width that attend to the tokens: PyTorch's MultiheadAttention between two norms. */
function addPooler(specs: SpecList, vision: VitConfig, embed: number): void {
  const { width, attn_pooler_queries: queries = DEFAULT_POOLER.queries } = vision;
  specs.add('visual.attn_pool.query', [queries, embed], normal(1));
  if (width === embed) {
    specs.add('visual.attn_pool.attn.in_proj_weight', [3 * embed, embed], xavier(3 * embed, embed));
  } else {
    for (const [name, inputs] of [['q', embed] as const, ['k', width] as const, ['v', width] as const])
      specs.add(`visual.attn_pool.attn.${name}_proj_weight`, [embed, inputs], xavier(embed, inputs));
  }
  specs.add('visual.attn_pool.attn.in_proj_bias', [3 * embed], constant(0));
  specs.linear('visual.attn_pool.attn.out_proj', embed, embed, fanIn(embed), constant(0));
  specs.norm('visual.attn_pool.ln_q', embed);
  specs.norm('visual.attn_pool.ln_k', width);
}
