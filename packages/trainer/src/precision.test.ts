import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, openEngine } from '@clipyard/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainAlone } from './interchange/test-train.js';

const STEPS = 60;
/** How far the mean rank of the right caption may be from that of fp32, relative. */
const TOLERANCE = 0.03;

let engine: Engine;
let directory: string;
let exact: number;

/** Mean rank of the right caption among those of 256 drawn shapes, which clip-tiny has trained on for some steps. */
async function rankWith(job: string, sections: Readonly<Record<string, object>>): Promise<number> {
  let rank: number | undefined;
  const spec = {
    version: 1 as const,
    name: job,
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes' as const }, eval: { type: 'shapes' as const, seed: 1 }, evalSamples: 256 },
    batch: { global: 64 },
    duration: { steps: STEPS },
    schedule: { warmupSteps: 10 },
    evaluate: { tasks: [{ type: 'retrieval' as const }] },
    ...sections,
    optimizer: { lr: 1.5e-3, ...sections.optimizer },
  };
  await trainAlone(engine, directory, job, spec, (report) => {
    if (report.type === 'evaluation') rank = report.values['eval/retrieval/image_to_text/mean_rank'];
  });
  return rank!;
}

beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  directory = await mkdtemp(join(tmpdir(), 'clipyard-precision-'));
  exact = await rankWith('fp32', {});
  // By chance it is 128.
  expect(exact).toBeLessThan(30);
}, 60_000);
afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

describe(`clip-tiny learns to rank captions within ${100 * TOLERANCE}% of fp32`, () => {
  it.each([
    ['compute bf16', { precision: { compute: 'bf16' } }],
    ['compute fp16', { precision: { compute: 'fp16' } }],
    ['textWeights bf16', { precision: { textWeights: 'bf16' } }],
    ['textWeights fp16', { precision: { textWeights: 'fp16' } }],
    ['momentDtype bf16', { optimizer: { momentDtype: 'bf16' } }],
    ['momentDtype fp16', { optimizer: { momentDtype: 'fp16' } }],
    [
      'all of them in bf16',
      { precision: { compute: 'bf16', textWeights: 'bf16' }, optimizer: { momentDtype: 'bf16' } },
    ],
  ])(
    'with %s',
    async (name, sections) => {
      const rank = await rankWith(name.replaceAll(' ', '-'), sections);
      expect(Math.abs(rank - exact) / exact).toBeLessThan(TOLERANCE);
    },
    60_000,
  );
});
