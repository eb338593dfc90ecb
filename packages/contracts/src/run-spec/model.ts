import { z } from 'zod';
import { checkpointReference } from './checkpoint-reference.js';
import { count, positive } from './numbers.js';

export const modelSchema = z
  .strictObject({
    preset: z.string().optional().describe('A named model, such as `clip-tiny` or `ViT-B-32`'),
    config: z.record(z.string(), z.unknown()).optional().describe("open_clip's `model_cfg` JSON, instead of a preset"),
    init: checkpointReference
      .optional()
      .describe(
        "Weights to start from. `job:<id>@<step>`: a checkpoint of another job, without the step its newest one when this job is submitted. `file:<path>`: safetensors with open_clip's names below the data directory, a file or a directory with its `open_clip_config.json`; the same on every node. Default: initial weights",
      ),
    tokenizer: z
      .union(
        [
          z.enum(['word', 'clip']),
          z
            .string()
            .max(2048)
            .regex(/^file:./),
        ],
        'must be `word`, `clip` or `file:` and the path of a byte-pair vocabulary',
      )
      .default('word')
      .describe(
        "`word`: one token a word, the vocabulary counted from the training captions; `clip`: CLIP's byte-pair encoding, 49,408 tokens, as open_clip has it; `file:<path>`: a byte-pair vocabulary of your own, as `clipyard tokenizer train` writes it, relative to the data directory",
      ),
    projection: z
      .discriminatedUnion('type', [
        z.strictObject({ type: z.literal('linear') }).describe("The paper's choice"),
        z
          .strictObject({
            type: z.literal('mlp'),
            hidden: positive.max(65_536).describe('Width of the hidden layer, in both towers'),
          })
          .describe('One hidden layer of GELUs, with biases; open_clip has no such model'),
      ])
      .optional()
      .describe(
        "What maps each tower's features into the shared space. Default: `projection` of the config, `linear` for presets",
      ),
    patchDropout: z
      .number()
      .min(0)
      .lt(1)
      .optional()
      .describe(
        "Part of each picture's patches that the image tower does not see in training, chosen anew each time, the same on any number of ranks (FLIP, Li et al., arXiv 2212.00794); evaluation sees all. Default: `vision_cfg.patch_dropout` of the config, 0 for presets",
      ),
    batchNorm: z
      .enum(['local', 'global'])
      .default('local')
      .describe(
        'What the batch norm of a ResNet takes mean and variance over in training. `local`: each micro-batch of a rank, as open_clip does by default; `global`: the global batch (SyncBatchNorm), so that no number of ranks or micro-batches changes what is computed, for two exchanges between ranks a norm and step, and without `batch.micro`',
      ),
    lock: z
      .strictObject({
        image: z.boolean().default(false).describe('Image tower'),
        imageUnlockedGroups: count.max(1000).default(0).describe('Of its last groups, which are trained all the same'),
        text: z.boolean().default(false).describe('Text tower'),
        textUnlockedGroups: count.max(1000).default(0).describe('Of its last groups, which are trained all the same'),
      })
      .prefault({})
      .describe(
        'Towers that are not trained (LiT, Zhai et al., arXiv 2111.07991): no gradients, no moments. Groups, last first: projection, each block, embedding; `clipyard parameters` shows them',
      ),
  })
  .describe('What is trained');
