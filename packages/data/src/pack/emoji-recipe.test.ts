import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { loadPackRecipe, type PackRecipe } from './pack-recipe.js';
import type { PackSample } from './pack-shards.js';

async function first(recipe: PackRecipe, split: string, count: number): Promise<PackSample[]> {
  const samples: PackSample[] = [];
  for await (const sample of recipe.splits[split]!({})) if (samples.push(sample) === count) break;
  return samples;
}

it('the emoji example draws unique pairs at 64 pixels and holds out every tenth emoji', async () => {
  const recipe = await loadPackRecipe(fileURLToPath(new URL('../../../../examples/emoji', import.meta.url)));
  const train = await first(recipe, 'train', 45);
  const heldOut = await first(recipe, 'heldout', 5);
  expect(train[7]).toMatchObject({ key: '1f602', json: { name: 'face with tears of joy' } });
  expect(train[7]!.caption).toMatch(/^face with tears of joy cry/);
  const all = [...train, ...heldOut];
  expect(new Set(all.map(({ caption }) => caption)).size).toBe(50);
  expect(new Set(all.map(({ image }) => Buffer.from(image).toString('base64'))).size).toBe(50);
  expect(new Set(all.map(({ key }) => key)).size).toBe(50);
  for (const { caption } of all) expect(caption.split(' ').length).toBeLessThanOrEqual(12);
  const { width, height, hasAlpha } = await sharp(train[0]!.image).metadata();
  expect([width, height, hasAlpha]).toEqual([64, 64, false]);
  expect(await first(recipe, 'heldout', 5)).toEqual(heldOut);
});
