import { type Engine, openEngine } from '@clipyard/engine';
import { CounterRandom } from '@clipyard/tensor';
import { referenceGroups } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shareOf } from '../gather-rows.js';
import { type Pairs, retrieval } from './retrieval.js';

const D = 3;
const SIGNAL = new AbortController().signal;

/** Rows of small whole numbers, whose products are exact, so that ties are ties. */
const row = (random: CounterRandom, at: number): number[] =>
  Array.from({ length: D }, (_, d) => Math.floor(random.uniformAt(at * D + d) * 3) - 1);

interface Case {
  readonly images: number[][];
  readonly texts: number[][];
  /** Of each pair: which picture and which caption. */
  readonly pairs: readonly (readonly [number, number])[];
}

/** The slow reference: for every query the mean over many random orders of what sorting gives. */
function slow({ images, texts, pairs }: Case, swap: boolean): Record<string, number> {
  const [queries, candidates] = swap ? [texts, images] : [images, texts];
  const asked = [...new Set(pairs.map((pair) => pair[swap ? 1 : 0]))];
  const offered = [...new Set(pairs.map((pair) => pair[swap ? 0 : 1]))];
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * b[d]!, 0);
  const perQuery = asked.map((query) => {
    const right = new Set(pairs.filter((pair) => pair[swap ? 1 : 0] === query).map((pair) => pair[swap ? 0 : 1]));
    const scored = offered.map((c) => ({ score: dot(queries[query]!, candidates[c]!), right: right.has(c) }));
    const best = Math.max(...scored.filter((s) => s.right).map(({ score }) => score));
    const above = scored.filter(({ score }) => score > best).length;
    const level = scored.filter(({ score }) => score === best);
    // Every subset of places for the right ones of the level is equally likely.
    const places = subsets(level.length, level.filter((s) => s.right).length);
    const ranks = places.map((chosen) => above + 1 + Math.min(...chosen));
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    return { rank: mean(ranks), hits: [1, 5, 10].map((k) => mean(ranks.map((rank) => Number(rank <= k)))) };
  });
  const ranks = perQuery.map(({ rank }) => rank).sort((a, b) => a - b);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const middle = (ranks.length - 1) / 2;
  return {
    r1: mean(perQuery.map(({ hits }) => hits[0]!)),
    r5: mean(perQuery.map(({ hits }) => hits[1]!)),
    r10: mean(perQuery.map(({ hits }) => hits[2]!)),
    mean_rank: mean(ranks),
    median_rank: (ranks[Math.floor(middle)]! + ranks[Math.ceil(middle)]!) / 2,
  };
}

function subsets(n: number, size: number): number[][] {
  if (size === 0) return [[]];
  return Array.from({ length: n - size + 1 }, (_, first) => first).flatMap((first) =>
    subsets(n - first - 1, size - 1).map((rest) => [first, ...rest.map((at) => at + first + 1)]),
  );
}

describe('retrieval', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  });
  afterAll(() => engine.close());

  async function fast({ images, texts, pairs }: Case, worldSize = 1): Promise<Record<string, number>> {
    const ids = (side: 0 | 1) => {
      const known = new Map<number, number>();
      return Int32Array.from(pairs, (pair) => {
        const id = known.get(pair[side]) ?? known.size;
        known.set(pair[side], id);
        return id;
      });
    };
    const results = await Promise.all(
      referenceGroups(worldSize).map((group) => {
        const range = shareOf(pairs.length, group);
        const given: Pairs = {
          dimension: D,
          images: { rows: Float32Array.from(pairs.flatMap(([image]) => images[image]!)), ...range },
          texts: { rows: Float32Array.from(pairs.flatMap(([, text]) => texts[text]!)), ...range },
          imageIds: ids(0),
          textIds: ids(1),
        };
        return retrieval({ engine, group }, given, SIGNAL);
      }),
    );
    for (const result of results) expect(result).toEqual(results[0]);
    return results[0]!;
  }

  function expectSame(found: Record<string, number>, expected: Case): void {
    for (const [direction, swap] of [
      ['image_to_text', false],
      ['text_to_image', true],
    ] as const)
      for (const [name, value] of Object.entries(slow(expected, swap)))
        expect(found[`${direction}/${name}`], `${direction}/${name}`).toBeCloseTo(value, 5);
  }

  it('equals the slow reference, with ties, several captions a picture and several pictures a caption', async () => {
    for (let round = 0; round < 8; round++) {
      const random = new CounterRandom(round, 1);
      const draw = (i: number, below: number) => Math.floor(random.uniformAt(10_000 + i) * below);
      const images = Array.from({ length: 6 }, (_, i) => row(random, i));
      const texts = Array.from({ length: 12 }, (_, i) => row(random, 100 + i));
      const pairs = Array.from({ length: 14 }, (_, i) => [draw(2 * i, 6), draw(2 * i + 1, 12)] as const);
      for (const worldSize of [1, 3])
        expectSame(await fast({ images, texts, pairs }, worldSize), { images, texts, pairs });
    }
  });

  it('by hand: a picture is found by the better of its two captions', async () => {
    const found = await fast({
      images: [
        [1, 0, 0],
        [0, 1, 0],
      ],
      texts: [
        [1, 0, 0],
        [0, 0, 1],
        [1, 0, 0],
      ],
      pairs: [
        [0, 0],
        [0, 1],
        [1, 2],
      ],
    });
    // Picture 0: captions 0 (right) and 2 (wrong) tie at 1. Picture 1: all three captions tie at 0.
    expect(found['image_to_text/r1']).toBeCloseTo((1 / 2 + 1 / 3) / 2);
    expect(found['image_to_text/mean_rank']).toBeCloseTo((1.5 + 2) / 2);
    // Captions 0 and 1: found at 1, and tied with picture 1. Caption 2: picture 0 is before its own.
    expect(found['text_to_image/r1']).toBeCloseTo((1 + 1 / 2 + 0) / 3);
    expect(found['text_to_image/median_rank']).toBeCloseTo(1.5);
  });

  it('gives chance to a model that has collapsed', async () => {
    const same = Array.from({ length: 40 }, () => [1, 0, 0]);
    const found = await fast({ images: same, texts: same, pairs: same.map((_, i) => [i, i] as const) }, 2);
    expect(found['image_to_text/r1']).toBeCloseTo(1 / 40);
    expect(found['text_to_image/r10']).toBeCloseTo(10 / 40);
    expect(found['text_to_image/median_rank']).toBeCloseTo(20.5);
  });

  it('compares with more candidates than fit one tile', async () => {
    const count = 5000;
    const angle = (i: number) => (2 * Math.PI * i) / count;
    const circle = Array.from({ length: count }, (_, i) => [Math.cos(angle(i)), Math.sin(angle(i)), 0]);
    const pairs = Array.from({ length: count }, (_, i) => [i, (i + 7) % count] as const);
    // The caption of picture i lies 7 places along the circle, and 13 others are nearer on both sides.
    const found = await fast({ images: circle, texts: circle, pairs });
    expect(found['image_to_text/median_rank']).toBeGreaterThanOrEqual(13);
    expect(found['image_to_text/median_rank']).toBeLessThanOrEqual(16);
  });
});
