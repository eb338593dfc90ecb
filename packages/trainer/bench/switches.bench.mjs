/**
 * What each switch of a run spec saves and costs, on the drawn shapes, from the same weights and samples, with one switch at a
 * time against none: a table of `clip-tiny`, trained, and two of memory, a few steps of a ViT and a text tower of 12 layers
 * each, and of a ResNet of RN50's blocks, where activations are most of it.
 *
 *     npm run bench -- switches [--table training|vit-memory|resnet-memory] [--steps N] [--only NAME] [--smoke]
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
import { openEngine } from '@clipyard/engine';
import { openBlobStore } from '@clipyard/storage';
import { train } from '../dist/index.js';
import { testRankStart } from '../dist/test-rank-start.js';
import { MEMORY_SWITCHES, RESNET_MEMORY_SWITCHES, SWITCHES } from './switches.mjs';

const { values: flags } = parseArgs({
  options: {
    table: { type: 'string' },
    steps: { type: 'string' },
    only: { type: 'string' },
    smoke: { type: 'boolean', default: false },
    /** JSON of what this process runs itself. */
    run: { type: 'string' },
  },
});

/** A run spec. */
const base = (model, global, steps) => ({
  version: 1,
  name: 'switches',
  model,
  data: { train: { type: 'shapes', split: 'all' } },
  batch: { global },
  duration: { steps },
  optimizer: { lr: 1.5e-3, weightDecay: 0.1 },
  schedule: { warmupSteps: Math.min(50, steps) },
  checkpoint: { everySteps: steps },
});
const text = { context_length: 32, vocab_size: 512, width: 192, heads: 3, layers: 12 };
const vit = { embed_dim: 192, vision_cfg: { image_size: 64, layers: 12, width: 256, patch_size: 8 }, text_cfg: text };
const resnet = {
  embed_dim: 192,
  vision_cfg: { image_size: 128, layers: [3, 4, 6, 3], width: 32 },
  text_cfg: { ...text, layers: 4 },
};

const TABLES = {
  training: {
    about: 'clip-tiny',
    steps: 300,
    switches: SWITCHES,
    spec: (steps) => ({
      ...base({ preset: 'clip-tiny' }, 128, steps),
      data: {
        train: { type: 'shapes', split: 'all' },
        eval: { type: 'shapes', split: 'all', seed: 1 },
        evalSamples: 1024,
      },
      evaluate: { tasks: [{ type: 'zeroshot' }] },
    }),
  },
  'vit-memory': {
    about: 'a ViT of 12 layers of 256 over 65 tokens, a text tower of 12 of 192',
    steps: 4,
    switches: MEMORY_SWITCHES,
    spec: (steps) => base({ config: vit }, 32, steps),
  },
  'resnet-memory': {
    about: "a ResNet of RN50's blocks at half their width, pictures of 128 pixels",
    steps: 4,
    switches: RESNET_MEMORY_SWITCHES,
    spec: (steps) => base({ config: resnet }, 32, steps),
  },
};

const merged = (before, changes) =>
  Object.fromEntries([
    ...Object.entries(before),
    ...Object.entries(changes).map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null && !Array.isArray(value) ? merged(before[key] ?? {}, value) : value,
    ]),
  ]);

/** Trains with a table's spec, changed. */
async function run({ table, steps, changes }) {
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
        start: testRankStart({
          job: 'bench',
          spec: merged(TABLES[table].spec(steps), changes),
          directory,
          storageUrl: store.url,
        }),
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

function inChild(given) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--run', JSON.stringify(given)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  return new Promise((resolve, reject) =>
    child.once('close', (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`ended with ${code}`)))),
  );
}

async function compare(table) {
  const { about, steps: usual, switches, spec } = TABLES[table];
  const smoke = Math.min(20, usual);
  const steps = flags.smoke ? smoke : Number(flags.steps ?? usual);
  const rows = [];
  const first = await inChild({ table, steps, changes: {} });
  rows.push({ name: 'none', ...first, ratio: 1, savedMib: 0 });
  let before = first;
  for (const { name, changes } of switches.filter(({ name }) => flags.only === undefined || name === flags.only)) {
    const result = await inChild({ table, steps, changes });
    const after = await inChild({ table, steps, changes: {} });
    const mean = (of) => (of(before) + of(after)) / 2;
    rows.push({
      name,
      ...result,
      ratio: result.samplesPerSecond / mean(({ samplesPerSecond }) => samplesPerSecond),
      savedMib: mean(({ rssMib }) => rssMib) - result.rssMib,
    });
    before = after;
  }
  console.log(`${about}, ${steps} steps of ${spec(steps).batch.global} samples, 1 thread`);
  console.table(
    Object.fromEntries(
      rows.map(({ name, loss, accuracy, ratio, modelBytes, optimizerBytes, rssMib, savedMib }) => [
        name,
        {
          loss: Number(loss.toFixed(4)),
          ...(accuracy !== undefined && { 'zero-shot, %': Number((100 * accuracy).toFixed(1)) }),
          'speed ratio': Number(ratio.toFixed(2)),
          'model, KiB': Math.round(modelBytes / 1024),
          'optimizer, KiB': Math.round(optimizerBytes / 1024),
          'peak RSS, MiB': rssMib,
          'saved, MiB': Math.round(savedMib),
        },
      ]),
    ),
  );
  const figures = (of, digits) => Object.fromEntries(rows.map((row) => [row.name, Number(of(row).toFixed(digits))]));
  console.log(
    JSON.stringify({
      bench: `switches, ${table}`,
      ratios: figures(({ ratio }) => ratio, 3),
      losses: figures(({ loss }) => loss, 4),
      peakMib: figures(({ rssMib }) => rssMib, 0),
    }),
  );
}

if (flags.table !== undefined && !Object.hasOwn(TABLES, flags.table)) {
  console.error(`There is no table ${flags.table}. There are: ${Object.keys(TABLES).join(', ')}`);
  process.exit(2);
}
for (const table of Object.keys(TABLES)) if (flags.table === undefined || flags.table === table) await compare(table);
