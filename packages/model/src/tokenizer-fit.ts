import { fieldError, type RunSpec } from '@clipyard/contracts';
import { CLIP_VOCABULARY } from './bpe/clip-merges.js';
import { checkLock } from './fine-tuning.js';
import type { ModelConfig } from './model-config.js';
import { resolveModelConfig } from './presets.js';

type Checked = Pick<RunSpec['model'], 'preset' | 'config' | 'tokenizer'> & Partial<Pick<RunSpec['model'], 'lock'>>;

/**
 * The config that a spec's `model` names, once its tokenizer and lock are known to fit it, as far as no file need be read.
 * Throws `preset_unknown`, `model_config_invalid`, `tokenizer_unfit` or `spec_invalid`.
 */
export function checkModel(model: Checked): ModelConfig {
  const config = resolveModelConfig(model);
  if (model.lock !== undefined) checkLock(model.lock, config);
  const { vocab_size: vocabSize } = config.text_cfg;
  const isClip = vocabSize === CLIP_VOCABULARY;
  if (model.tokenizer === 'clip' && !isClip) {
    throw fieldError('tokenizer_unfit', {
      path: 'model.tokenizer',
      message: `\`clip\` has ${CLIP_VOCABULARY} tokens, but the model's vocabulary has ${vocabSize}`,
      value: model.tokenizer,
      remedy:
        model.preset === undefined
          ? `Set text_cfg.vocab_size of model.config to ${CLIP_VOCABULARY}, or use \`word\` or \`file:<path>\`.`
          : `Use \`word\` or \`file:<path>\`, or give model.config with a text_cfg.vocab_size of ${CLIP_VOCABULARY}.`,
    });
  }
  if (model.tokenizer === 'word' && model.preset !== undefined && isClip) {
    throw fieldError('tokenizer_unfit', {
      path: 'model.tokenizer',
      message: `is \`word\`, but the ${CLIP_VOCABULARY} tokens of the preset ${model.preset} are those of CLIP's byte-pair encoding`,
      value: model.tokenizer,
      remedy: 'Set it to `clip`, or to `file:<path>` for a vocabulary of your own of that size.',
    });
  }
  return config;
}
