import { describe, expect, it } from 'vitest';
import { ShapesDataset, type ShapesOptions } from './shapes-dataset.js';
import { CAPTION_TEMPLATES, COLOURS, PAIRS, SHAPE_CLASSES, SHAPES } from './vocabulary.js';

const make = (options: Partial<ShapesOptions> = {}) =>
  new ShapesDataset({
    samples: 640,
    seed: 1,
    split: 'all',
    imageSize: 32,
    augment: 'none',
    augmentSeed: 0,
    ...options,
  });

async function captions(dataset: ShapesDataset, limit?: number): Promise<string[]> {
  const all: string[] = [];
  for await (const caption of dataset.captions({ limit })) all.push(caption);
  return all;
}

describe('the vocabulary of shapes', () => {
  it('has 64 classes and holds out 8: each colour once, each shape once, the purple star among them', () => {
    const heldOut = PAIRS.filter(({ group }) => group === 'unseen');
    expect(PAIRS.length).toBe(64);
    expect(new Set(SHAPE_CLASSES.names).size).toBe(64);
    expect(new Set(heldOut.map(({ colour }) => colour)).size).toBe(8);
    expect(new Set(heldOut.map(({ shape }) => shape)).size).toBe(8);
    expect(heldOut.length).toBe(8);
    expect(PAIRS[SHAPE_CLASSES.names.indexOf('purple star')]!.group).toBe('unseen');
  });

  it('says colour and shape in every caption, with the words that the prompts use', async () => {
    const dataset = make({ samples: 64 * 40 });
    const words = new Set<string>();
    let index = 0;
    for (const caption of await captions(dataset)) {
      expect(caption).toContain(SHAPE_CLASSES.names[index++ % 64]);
      for (const word of caption.split(' ')) words.add(word);
      expect(caption.split(' ').length).toBeLessThanOrEqual(14);
    }
    expect(CAPTION_TEMPLATES.length).toBeGreaterThanOrEqual(5);
    expect(words.size).toBeLessThan(60);
    const prompts = SHAPE_CLASSES.templates.flatMap((t) => SHAPE_CLASSES.names.map((name) => t.replace('{}', name)));
    for (const word of prompts.flatMap((prompt) => prompt.split(' '))) expect(words).toContain(word);
  });
});

describe('ShapesDataset', () => {
  it('draws the same sample for the same seed and index, and another one for another', async () => {
    const [first, again, otherSeed] = [make(), make(), make({ seed: 2 })];
    for (const index of [0, 17, 639]) {
      const sample = await first.read(index);
      expect(await again.read(index)).toEqual(sample);
      expect(sample.pixels).not.toEqual((await otherSeed.read(index)).pixels);
      expect(sample.pixels).not.toEqual((await first.read((index + 64) % 640)).pixels);
    }
  });

  it('keeps held-out pairs from `seen`, draws only them for `unseen`, and covers all classes evenly', async () => {
    for (const [split, classes] of [
      ['seen', 56],
      ['unseen', 8],
      ['all', 64],
    ] as const) {
      const dataset = make({ split, samples: classes * 3 });
      const counts = new Map<number, number>();
      for (let i = 0; i < dataset.size; i++) {
        const { label, group, caption } = await dataset.read(i);
        counts.set(label!, (counts.get(label!) ?? 0) + 1);
        expect(group).toBe(PAIRS[label!]!.group);
        if (split !== 'all') expect(group).toBe(split);
        expect(caption).toContain(SHAPE_CLASSES.names[label!]);
      }
      expect(counts.size).toBe(classes);
      expect(new Set(counts.values())).toEqual(new Set([3]));
    }
  });

  it('gives the captions of its samples without drawing them', async () => {
    const dataset = make();
    const all = await captions(dataset);
    expect(all.length).toBe(640);
    for (const index of [0, 100, 639]) expect((await dataset.read(index)).caption).toBe(all[index]);
    expect((await captions(dataset, 10)).length).toBe(10);
  });

  it('fills about as much of the picture as shape and size say, in the colour of the caption', async () => {
    const dataset = make();
    for (let index = 0; index < 640; index++) {
      const { pixels, label } = await dataset.read(index);
      const { rgb } = COLOURS[Math.floor(label! / SHAPES.length)]!;
      let coloured = 0;
      for (let i = 0; i < pixels.length; i += 3) {
        if (rgb.every((value, channel) => Math.abs(value - pixels[i + channel]!) <= 14)) coloured++;
      }
      const share = coloured / 1024;
      expect(share, `${SHAPE_CLASSES.names[label!]} ${index}`).toBeGreaterThan(0.05);
      expect(share, `${SHAPE_CLASSES.names[label!]} ${index}`).toBeLessThan(0.6);
    }
  });

  it('shows a picture at the place that its caption names', async () => {
    const dataset = make({ samples: 2000 });
    let checked = 0;
    for (let index = 0; index < 2000; index++) {
      const { pixels, caption } = await dataset.read(index);
      const horizontal = caption.includes('on the left') ? -1 : caption.includes('on the right') ? 1 : 0;
      if (horizontal === 0) continue;
      const background = pixels[0]!;
      let moment = 0;
      for (let i = 0; i < 1024; i++) {
        const differs = [0, 1, 2].some((channel) => Math.abs(pixels[3 * i + channel]! - background) > 40);
        if (differs) moment += (i % 32) - 15.5;
      }
      expect(Math.sign(moment), caption).toBe(horizontal);
      checked++;
    }
    expect(checked).toBeGreaterThan(200);
  });

  it('crops by the run seed and position when it augments, and not when told not to', async () => {
    const plain = await make().read(5);
    const cropped = make({ augment: 'crop' });
    const first = await cropped.read(5, { position: 1000 });
    expect(first.pixels).not.toEqual(plain.pixels);
    expect(await cropped.read(5, { position: 1000 })).toEqual(first);
    expect((await cropped.read(5, { position: 1001 })).pixels).not.toEqual(first.pixels);
    expect((await make({ augment: 'crop', augmentSeed: 9 }).read(5, { position: 1000 })).pixels).not.toEqual(
      first.pixels,
    );
    expect((await cropped.read(5, { position: 1000, augment: 'none' })).pixels).toEqual(plain.pixels);
  });

  it('draws edges that agree between sizes', async () => {
    const [small, large] = [make(), make({ imageSize: 128 })];
    for (let index = 0; index < 64; index++) {
      const [a, b] = [(await small.read(index)).pixels, (await large.read(index)).pixels];
      let error = 0;
      for (let row = 0; row < 32; row++) {
        for (let column = 0; column < 32; column++) {
          let sum = 0;
          for (let i = 0; i < 16; i++) sum += b[((row * 4 + (i >> 2)) * 128 + column * 4 + (i & 3)) * 3]!;
          error += Math.abs(a[(row * 32 + column) * 3]! - sum / 16);
        }
      }
      // Mean difference in grey levels, over the whole picture.
      expect(error / 1024, SHAPE_CLASSES.names[index]).toBeLessThan(1.5);
    }
  });
});
