import { z } from 'zod';
import { count } from './numbers.js';

/** `job:<id>`, `job:<id>@<step>` or `file:<path>`. */
const INIT = /^(?:file:.+|job:[\w-]+(?:@\d{1,9})?)$/;

export const modelSchema = z
  .strictObject({
    preset: z.string().optional().describe('A named model, such as `clip-tiny` or `ViT-B-32`'),
    config: z.record(z.string(), z.unknown()).optional().describe("open_clip's `model_cfg` JSON, instead of a preset"),
    init: z
      .string()
      .max(1024)
      .regex(INIT, 'must be `job:<id>`, `job:<id>@<step>` or `file:<path>`')
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
