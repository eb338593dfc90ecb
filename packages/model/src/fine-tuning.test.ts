import { describe, expect, it } from 'vitest';
import { type FineTuning, fineTune } from './fine-tuning.js';
import { parameterGroups, parameterLayout, parameterSpecs } from './parameters.js';
import { resolveModelConfig } from './presets.js';
import { checkModel } from './tokenizer-fit.js';

const config = resolveModelConfig({ preset: 'clip-tiny' });
const { layers } = config.text_cfg;
const specs = parameterSpecs(config);
const UNLOCKED = { image: false, imageUnlockedGroups: 0, text: false, textUnlockedGroups: 0 };
const tuned = (lock: Partial<FineTuning['lock']>, layerDecay = 1) =>
  fineTune(specs, config, { lock: { ...UNLOCKED, ...lock }, layerDecay });
const frozen = (lock: Partial<FineTuning['lock']>) =>
  tuned(lock)
    .filter((spec) => spec.frozen)
    .map(({ name }) => name);

describe('fine-tuning', () => {
  it('trains everything alike unless told otherwise', () => {
    expect(tuned({})).toEqual(specs);
  });

  it('locks a whole tower, and never the logit scale', () => {
    expect(frozen({ image: true })).toEqual(specs.map(({ name }) => name).filter((name) => name.startsWith('visual.')));
    expect(frozen({ image: true, text: true })).toEqual(
      specs.map(({ name }) => name).filter((name) => name !== 'logit_scale'),
    );
  });

  it('leaves the last groups unlocked: the projection, then the last block with the norm behind it', () => {
    const all = frozen({ image: true });
    const but = (groups: number) =>
      all.filter((name) => !frozen({ image: true, imageUnlockedGroups: groups }).includes(name));
    expect(but(1)).toEqual(['visual.proj']);
    const last = `visual.transformer.resblocks.${Number(config.vision_cfg.layers) - 1}.`;
    expect(but(2).filter((name) => !name.startsWith(last))).toEqual([
      'visual.proj',
      'visual.ln_post.weight',
      'visual.ln_post.bias',
    ]);
    expect(but(2).filter((name) => name.startsWith(last))).toHaveLength(12);
    expect(frozen({ text: true, textUnlockedGroups: layers + 1 })).toEqual([
      'positional_embedding',
      'token_embedding.weight',
    ]);
  });

  it.each([
    ['image', Number(config.vision_cfg.layers) + 2],
    ['text', layers + 2],
  ] as const)('refuses a lock of the %s tower all of whose groups are unlocked', (tower, groups) => {
    const lock = (unlocked: number) => ({ ...UNLOCKED, [tower]: true, [`${tower}UnlockedGroups`]: unlocked });
    checkModel({ preset: 'clip-tiny', tokenizer: 'word', lock: lock(groups - 1) });
    expect(() => checkModel({ preset: 'clip-tiny', tokenizer: 'word', lock: lock(groups) })).toThrow(
      expect.objectContaining({
        code: 'spec_invalid',
        fields: [expect.objectContaining({ path: `model.lock.${tower}UnlockedGroups`, value: groups })],
      }),
    );
  });

  it('lowers the rate from the last layer to the first', () => {
    const scales = new Map(tuned({}, 0.5).map(({ name, lrScale = 1 }) => [name, lrScale]));
    expect(scales.get('text_projection')).toBe(1);
    expect(scales.get('ln_final.bias')).toBe(0.5);
    expect(scales.get(`transformer.resblocks.${layers - 1}.ln_1.bias`)).toBe(0.5);
    expect(scales.get('transformer.resblocks.0.ln_1.bias')).toBe(0.5 ** layers);
    expect(scales.get('token_embedding.weight')).toBe(0.5 ** (layers + 1));
    expect(scales.get('logit_scale')).toBe(1);
  });

  it('puts parameters that are updated alike side by side, to the end of the padded buffer', () => {
    const some = tuned({ image: true }, 0.5);
    const layout = parameterLayout(some);
    const padded = layout.paddedTotal(7);
    const groups = parameterGroups(some, layout, padded);
    expect(groups.map(({ start }) => start)).toEqual([0, ...groups.slice(0, -1).map(({ end }) => end)]);
    expect(groups.at(-1)!.end).toBe(padded);
    for (const { name, decay, lrScale = 1 } of some.filter((spec) => spec.frozen !== true)) {
      const at = layout.offset(name);
      expect(groups.find(({ start, end }) => start <= at && at < end)).toMatchObject({ decay, lrScale });
    }
  });
});
