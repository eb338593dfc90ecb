/** The switches that `npm run bench -- switches` tries with `clip-tiny`, each as changes of a run spec. */
export const SWITCHES = [
  { name: 'moments bf16', changes: { optimizer: { momentDtype: 'bf16' } } },
  { name: 'moments fp16', changes: { optimizer: { momentDtype: 'fp16' } } },
  { name: 'compute bf16', changes: { precision: { compute: 'bf16' } } },
  { name: 'compute fp16', changes: { precision: { compute: 'fp16' } } },
  { name: 'text weights bf16', changes: { precision: { textWeights: 'bf16' } } },
  { name: 'text weights fp16', changes: { precision: { textWeights: 'fp16' } } },
  { name: 'average 0.99', changes: { optimizer: { emaDecay: 0.99 } } },
  { name: 'layer decay 0.8', changes: { optimizer: { layerDecay: 0.8 } } },
  { name: 'patch dropout 0.5', changes: { model: { patchDropout: 0.5 } } },
  { name: 'projection mlp 128', changes: { model: { projection: { type: 'mlp', hidden: 128 } } } },
  { name: 'label smoothing 0.1', changes: { loss: { labelSmoothing: 0.1 } } },
  { name: 'duplicates masked', changes: { loss: { maskDuplicates: 'caption' } } },
  { name: 'siglip', changes: { loss: { type: 'siglip' } } },
  { name: 'micro-batches of 32', changes: { batch: { micro: 32 } } },
];

const again = { memory: { checkpointBlocks: true } };

/** Those that save activations, which show in deeper models. */
export const MEMORY_SWITCHES = [
  { name: 'checkpointed blocks', changes: again },
  { name: 'patch dropout 0.5', changes: { model: { patchDropout: 0.5 } } },
  { name: 'both', changes: { model: { patchDropout: 0.5 }, ...again } },
  { name: 'micro-batches of 8', changes: { batch: { micro: 8 } } },
  { name: 'micro-batches of 8, checkpointed blocks', changes: { batch: { micro: 8 }, ...again } },
];

/** Likewise, of a ResNet. */
export const RESNET_MEMORY_SWITCHES = [{ name: 'checkpointed blocks', changes: again }];
