/**
 * What each switch of a run spec saves and costs: `clip-tiny` on the drawn shapes, from the same weights and samples,
 * with one switch at a time against none.
 *
 *     npm run bench -- switches [--steps N] [--only NAME] [--smoke]
 *
 * Every run is a process of its own, on 1 thread; they take turns with the plain one, which is run before and after. The
 * loss is the mean of the last tenth of the steps, so that single batches do not show; bytes of checkpoints are those of
 * the last. Ratios are of samples/s, above 1 the switch is faster; the loss of a switch that changes the loss itself
 * (siglip, smoothing) is not comparable, its zero-shot accuracy is.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { createGroup } from '@clipyard/collectives';
import { parseRunSpec } from '@clipyard/contracts';
import { openEngine } from '@clipyard/engine';
import { openBlobStore } from '@clipyard/storage';
import { train } from '../dist/index.js';
import { SWITCHES } from './switches.mjs';

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '300' },
    only: { type: 'string' },
    smoke: { type: 'boolean', default: false },
    /** JSON of what this process runs itself. */
    run: { type: 'string' },
  },
});
const steps = flags.smoke ? 20 : Number(flags.steps);

const BASE = {
  version: 1,
  name: 'switches',
  model: { preset: 'clip-tiny' },
  data: {
    train: { type: 'shapes', split: 'all' },
    eval: { type: 'shapes', split: 'all', seed: 1 },
    evalSamples: 1024,
  },
  batch: { global: 128 },
  duration: { steps },
  optimizer: { lr: 1.5e-3, weightDecay: 0.1 },
  schedule: { warmupSteps: Math.min(50, steps) },
  checkpoint: { everySteps: steps },
  evaluate: { tasks: [{ type: 'zeroshot' }] },
};

const merged = (base, changes) =>
  Object.fromEntries([
    ...Object.entries(base),
    ...Object.entries(changes).map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null && !Array.isArray(value) ? merged(base[key] ?? {}, value) : value,
    ]),
  ]);

async function run(changes) {
  const directory = await mkdtemp(join(tmpdir(), 'clipyard-switches-'));
  const engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  try {
    const store = await openBlobStore(pathToFileURL(directory).href);
    const losses = [];
    const rates = [];
    let accuracy;
    let files = [];
    await train(
      {
        engine,
        group: createGroup([], { rank: 0, worldSize: 1 }),
        store,
        report: (report) => {
          if (report.type === 'metrics') {
            losses.push([report.step, report.values.loss]);
            rates.push(report.values['speed/samples_per_second']);
          }
          if (report.type === 'evaluation') accuracy = report.values['eval/zeroshot/top1'];
        },
        recordCheckpoint: async (checkpoint) => {
          files = checkpoint.files;
          return [];
        },
        log: () => {},
      },
      {
        signal: new AbortController().signal,
        save: new AbortController().signal,
        start: {
          jobId: 'bench',
          jobName: 'bench',
          epoch: 1,
          rank: 0,
          worldSize: 1,
          secret: '',
          spec: parseRunSpec(merged(BASE, changes)),
          checkpoints: [],
          storageUrl: store.url,
          dataDir: directory,
          cacheDir: directory,
          listenHost: '127.0.0.1',
          advertiseHost: '127.0.0.1',
          threads: 1,
          slot: 0,
        },
      },
    );
    const last = losses.filter(([step]) => step > steps * 0.9).map(([, loss]) => loss);
    const bytes = (name) =>
      files.filter((file) => file.name.startsWith(name)).reduce((sum, file) => sum + file.bytes, 0);
    return {
      loss: last.reduce((a, b) => a + b, 0) / last.length,
      accuracy,
      samplesPerSecond: median(rates),
      modelBytes: bytes('model.'),
      optimizerBytes: bytes('optim'),
      rssMib: Math.round(process.resourceUsage().maxRSS / 1024),
    };
  } finally {
    await engine.close();
    await rm(directory, { recursive: true });
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

if (flags.run !== undefined) {
  console.log(JSON.stringify(await run(JSON.parse(flags.run))));
  process.exit();
}

function inChild(changes) {
  const file = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [file, '--steps', String(steps), '--run', JSON.stringify(changes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  return new Promise((resolve, reject) =>
    child.once('close', (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`ended with ${code}`)))),
  );
}

const chosen = SWITCHES.filter(({ name }) => flags.only === undefined || name === flags.only);
const rows = [];
let before = await inChild({});
rows.push({ name: 'none', ...before, ratio: 1 });
for (const { name, changes } of chosen) {
  const result = await inChild(changes);
  const after = await inChild({});
  const plain = (before.samplesPerSecond + after.samplesPerSecond) / 2;
  rows.push({ name, ...result, ratio: result.samplesPerSecond / plain });
  before = after;
}
console.log(`clip-tiny, ${steps} steps of 128 samples, 1 thread`);
console.table(
  Object.fromEntries(
    rows.map(({ name, loss, accuracy, ratio, modelBytes, optimizerBytes, rssMib }) => [
      name,
      {
        loss: Number(loss.toFixed(4)),
        'zero-shot, %': Number((100 * accuracy).toFixed(1)),
        'speed ratio': Number(ratio.toFixed(2)),
        'model, KiB': Math.round(modelBytes / 1024),
        'optimizer, KiB': Math.round(optimizerBytes / 1024),
        'peak RSS, MiB': rssMib,
      },
    ]),
  ),
);
const ratios = Object.fromEntries(rows.map(({ name, ratio }) => [name, Number(ratio.toFixed(3))]));
const losses = Object.fromEntries(rows.map(({ name, loss }) => [name, Number(loss.toFixed(4))]));
console.log(JSON.stringify({ bench: 'switches', ratios, losses }));
