import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseRunSpec, parseSweepSpec, type RunSpecInput, type Sweep, type Trial } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { paperRate, RATE_EXPONENT, rateFactor, scaleUp } from './scale-up.js';
import { csvLines, parallelCoordinates } from './sweep-export.js';
import { readSweepFile } from './sweep-file.js';
import { sweepLines, sweepListLines } from './sweep-tables.js';
import { choiceText } from './value-text.js';

const BASE: RunSpecInput = {
  version: 1,
  name: 'x',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 64 },
  duration: { steps: 90 },
};
const SWEEP: Sweep = {
  id: 'sweep-1',
  project: 'default',
  name: 'search',
  state: 'succeeded',
  reason: null,
  spec: parseSweepSpec({
    version: 1,
    name: 'search',
    base: BASE,
    parameters: {
      'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 },
      'optimizer.betas': {
        type: 'choice',
        values: [
          [0.9, 0.98],
          [0.9, 0.99],
        ],
      },
    },
    search: { type: 'random', trials: 4 },
    halving: { first: { steps: 30 }, eta: 3 },
    objective: { metric: 'loss', goal: 'min' },
    constraints: ['speed/samples_per_second >= 100'],
  }),
  rungs: [{ steps: 30 }, { steps: 90 }],
  trials: { succeeded: 1, stopped: 1, infeasible: 1, failed: 1 },
  best: { index: 2, jobId: 'job-2', objective: 1.5, values: { 'optimizer.lr': 0.001, 'optimizer.betas': [0.9, 0.98] } },
  createdAt: '2026-01-01T00:00:00.000Z',
  finishedAt: '2026-01-01T00:10:00.000Z',
};
const trial = (index: number, state: Trial['state'], ...losses: number[]): Trial => ({
  index,
  state,
  reason: state === 'failed' ? 'NaN' : null,
  values: { 'optimizer.lr': 0.001 * index, 'optimizer.betas': [0.9, 0.98] },
  jobId: `job-${index}`,
  jobState: 'succeeded',
  step: 30,
  totalSteps: 90,
  objective: losses.at(-1) ?? null,
  current: 1.25,
  results: losses.map((objective, rung) => ({
    rung,
    step: 30,
    objective,
    metrics: { loss: objective, 'speed/samples_per_second': 120 },
  })),
});
const TRIALS = [trial(0, 'failed'), trial(1, 'stopped', 1.2), trial(2, 'succeeded', 2, 1.5), trial(3, 'infeasible', 1)];

describe('tables', () => {
  it('show the trials, those that got furthest first, failed ones last', () => {
    const lines = sweepLines(SWEEP, TRIALS);
    const text = lines.join('\n');
    expect(text).toContain('trial 2: loss 1.5 with optimizer.lr=0.001 optimizer.betas=[0.9,0.98]');
    expect(text).toContain('30 steps, 90 steps');
    const order = lines.slice(lines.indexOf('') + 2).map((line) => line.trim().split(/\s+/)[0]);
    expect(order).toEqual(['2', '1', '3', '0']);
    expect(lines.find((line) => /infeasible/.test(line) && /0\.003/.test(line))).toMatch(
      /30\/90 +1\/2 +1 +1\.25 +job-3/,
    );
    expect(sweepListLines([SWEEP])[1]).toMatch(/sweep-1 +search +succeeded +1 succeeded, .* loss +1\.5/);
  });
});

describe('export', () => {
  it('has an axis for each parameter and metric, the objective last, and a row for each result', () => {
    const data = parallelCoordinates(SWEEP, TRIALS);
    expect(data.dimensions).toEqual([
      { name: 'optimizer.lr', kind: 'parameter', scale: 'log', domain: [1e-4, 1e-2] },
      {
        name: 'optimizer.betas',
        kind: 'parameter',
        scale: 'category',
        domain: [
          [0.9, 0.98],
          [0.9, 0.99],
        ],
      },
      { name: 'speed/samples_per_second', kind: 'metric', scale: 'linear', domain: [120, 120] },
      { name: 'loss', kind: 'metric', scale: 'linear', domain: [1, 1.5] },
    ]);
    expect(csvLines(data)).toEqual([
      'trial,state,optimizer.lr,optimizer.betas,speed/samples_per_second,loss,rung,step,job',
      '2,succeeded,0.002,"[0.9,0.98]",120,1.5,1,30,job-2',
      '1,stopped,0.001,"[0.9,0.98]",120,1.2,0,30,job-1',
      '3,infeasible,0.003,"[0.9,0.98]",120,1,0,30,job-3',
    ]);
  });
});

describe('a sweep file', () => {
  it('may name the run spec of its base, relative to itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'clipyard-sweep-file-'));
    try {
      await writeFile(join(folder, 'run.yaml'), 'seed: 3');
      await writeFile(join(folder, 'sweep.yaml'), 'base: run.yaml\nname: a');
      const spec = await readSweepFile(join(folder, 'sweep.yaml'), ['base.batch.global=8', 'seed=1']);
      expect(spec).toEqual({ base: { seed: 3, batch: { global: 8 } }, name: 'a', seed: 1 });
      await writeFile(join(folder, 'sweep.yaml'), 'base: none.yaml');
      await expect(readSweepFile(join(folder, 'sweep.yaml'), [])).rejects.toMatchObject({ code: 'spec_invalid' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('of the examples is valid', async () => {
    const file = fileURLToPath(new URL('../../../../examples/sweep-shapes.yaml', import.meta.url));
    expect(parseSweepSpec(await readSweepFile(file, []))).toMatchObject({ name: 'sweep-shapes', maxConcurrent: 2 });
  });
});

describe('scale-up', () => {
  const from = parseRunSpec({
    ...BASE,
    optimizer: { lr: 1.5e-3, weightDecay: 0.1 },
    labels: { sweep: 'sweep-1', trial: '2', team: 'vision' },
  });

  it('follows the tables of the paper between its models, and its fit elsewhere, never up', () => {
    const factor = (a: string, b: string) => rateFactor({ preset: a }, { preset: b }).factor;
    expect(factor('ViT-B-32', 'ViT-L-14')).toBeCloseTo(0.8);
    expect(factor('ViT-B-32-quickgelu', 'ViT-B-16')).toBe(1);
    expect(factor('RN50', 'RN50x64')).toBeCloseTo(0.72);
    expect(factor('ViT-L-14', 'ViT-B-32')).toBe(1);
    expect(factor('clip-tiny', 'ViT-B-32')).toBeGreaterThan(0.3);
    expect(factor('clip-tiny', 'ViT-B-32')).toBeLessThan(0.4);
    expect(factor('ViT-B-32', 'clip-tiny')).toBe(1);
  });

  it('has the exponent that fits the paper’s rates best', () => {
    // Millions of parameters as open_clip counts them.
    const sizes = {
      RN50: 102,
      RN101: 119.7,
      RN50x4: 178.3,
      RN50x16: 291,
      RN50x64: 623.3,
      'ViT-B-32': 151.3,
      'ViT-B-16': 149.6,
      'ViT-L-14': 427.6,
    };
    const points = Object.entries(sizes).map(
      ([name, size]) => [Math.log(size), Math.log(paperRate({ preset: name })!)] as const,
    );
    const mean = (at: 0 | 1) => points.reduce((total, point) => total + point[at], 0) / points.length;
    const [x, y] = [mean(0), mean(1)];
    const slope =
      points.reduce((total, point) => total + (point[0] - x) * (point[1] - y), 0) /
      points.reduce((total, point) => total + (point[0] - x) ** 2, 0);
    expect(RATE_EXPONENT).toBeCloseTo(slope, 1);
    expect(Math.abs(RATE_EXPONENT - slope)).toBeLessThan(0.01);
  });

  it('makes a spec of the larger model, batch and epochs as given, and says what it changed', () => {
    const { spec, rules } = scaleUp(SWEEP, TRIALS[2]!, from, { preset: 'ViT-B-32', batch: 32_768, epochs: 32 });
    expect(spec).toMatchObject({
      name: 'search-ViT-B-32',
      model: { preset: 'ViT-B-32' },
      batch: { global: 32_768 },
      duration: { epochs: 32 },
      labels: { team: 'vision', scaledFrom: 'sweep-1/2' },
      optimizer: { weightDecay: 0.1, betas: [0.9, 0.98], eps: 1e-6 },
    });
    expect(spec.labels.sweep).toBeUndefined();
    // The paper's own rate of this model is 5e-4.
    expect(spec.optimizer.lr).toBeGreaterThan(4.5e-4);
    expect(spec.optimizer.lr).toBeLessThan(6e-4);
    expect(rules.join('\n')).toMatch(/optimizer\.lr: 0\.0015 × 0\.3\d+ = 0\.000\d+: .*tables 19 and 20/);
    expect(() => scaleUp(SWEEP, TRIALS[2]!, from, { preset: 'ViT-X' })).toThrow(/is not a preset/);
  });
});

it('of objects that a sweep chooses from, a cell shows what sets them apart', () => {
  const linear = { preset: 'clip-tiny', projection: { type: 'linear' } };
  const mlp = { preset: 'clip-tiny', projection: { type: 'mlp', hidden: 64 } };
  const spec = { ...SWEEP.spec, parameters: { model: { type: 'choice', values: [linear, mlp] } } } as Sweep['spec'];
  expect(choiceText({ ...SWEEP, spec }, 'model', mlp)).toBe('projection.type=mlp projection.hidden=64');
  expect(choiceText({ ...SWEEP, spec }, 'model', linear)).toBe('projection.type=linear');
  expect(choiceText(SWEEP, 'optimizer.betas', [0.9, 0.98])).toBe('[0.9,0.98]');
});
