/**
 * The product's train step against PyTorch on this machine: encode, gather, tiled loss, backward, AdamW.
 *
 *     PYTHON=… npm run bench -- engine [--only small|real] [--compile] [--rounds N] [--engines DIR] [--smoke]
 *
 * Each side is a process of its own, started one after the other; they take turns, a few steps at a time, so that a
 * change of the machine's speed meets all of them. The arithmetic is the same: all prune the last block to the rows that
 * are read, and the losses of the first steps must agree. A ratio is the median over rounds of PyTorch's time (the faster
 * of eager and compiled) over ours: above 1 we are faster. The small model is always compared with torch.compile, too;
 * ViT-B/32 only with --compile, as that takes minutes of compiling on two cores before the first step.
 *
 * Without PYTHON (scripts/reference/setup.sh) there is no PyTorch. With --engines, where `clipyard engines build
 * tensorflow` put it, our tensorflow engine takes part, and tfjs-node's own eager execution on the same library; at
 * ViT-B/32 each in turns with ours after PyTorch has ended, for memory's sake. The ratio of tensorflow to PyTorch goes by
 * ours.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findTensorFlow } from '@clipyard/engine';
import { resolveModelConfig } from '@clipyard/model';
import { withLargePages } from '@clipyard/runtime';
import { BenchSide, checkLosses, median } from '@clipyard/testkit';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    compile: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    engines: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const python = process.env.PYTHON;
const reference = fileURLToPath(new URL('../../../scripts/reference/', import.meta.url));
const script = (name) => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));
const enginesDir = flags.engines === undefined ? undefined : resolve(flags.engines);
const tensorflow = enginesDir === undefined ? undefined : await findTensorFlow(enginesDir);
if (enginesDir !== undefined && tensorflow === undefined) {
  throw new Error(`no tensorflow engine in ${enginesDir}: clipyard engines build tensorflow makes one`);
}

const SMALL = {
  embed_dim: 128,
  quick_gelu: true,
  vision_cfg: { image_size: 32, layers: 4, width: 128, patch_size: 8, head_width: 32 },
  text_cfg: { context_length: 32, vocab_size: 1024, width: 128, heads: 4, layers: 4 },
};
const ADAMW = { lr: 1e-3, betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2 };

const rounds = Number(flags.rounds ?? (flags.smoke ? 1 : 9));
const small = [1, 2].flatMap((threads) =>
  [64, 256].map((batch) => ({
    name: `small CLIP, batch ${batch}, ${threads} thread${threads > 1 ? 's' : ''}`,
    key: `small_${batch}_${threads}`,
    model: SMALL,
    batch,
    micro: batch,
    threads,
    rounds,
    steps: batch === 64 ? 6 : 3,
    // Until V8 has compiled what runs between the programs.
    warmup: flags.smoke ? 3 : 10,
    // How far the same loss in float32 may differ, relative.
    tolerance: 1e-5,
    compiled: true,
    apart: false,
  })),
);
const realSize = flags.smoke ? { batch: 4, micro: 2 } : { batch: 64, micro: 16 };
const real = {
  name: `ViT-B/32, batch ${realSize.batch}, micro-batch ${realSize.micro}`,
  key: 'vit_b_32',
  model: resolveModelConfig({ preset: 'ViT-B-32' }),
  ...realSize,
  threads: Math.min(2, availableParallelism()),
  rounds: Number(flags.rounds ?? (flags.smoke ? 1 : 3)),
  steps: 1,
  warmup: 1,
  tolerance: 1e-4,
  compiled: flags.compile,
  // Five processes at once, of 3 to 10 GB, are more than many a machine holds.
  apart: true,
};
const settings = [...(flags.only === 'real' ? [] : small), ...(flags.only === 'small' ? [] : [real])];

const OURS = 'clipyard';
const OURS_ON_TENSORFLOW = 'clipyard, tensorflow';
const TFJS_NODE = 'tfjs-node';

/** Ours and those that take turns with it, by groups, as functions that start them. */
function groupsOf({ model, batch, micro, threads, warmup, compiled, apart }) {
  const common = { model, batch, micro, threads, warmup, adamw: ADAMW };
  // All sides with the same, PyTorch too, so that the ratio is of what they do themselves.
  const environment = withLargePages(process.env);
  const node =
    (name, file, options, env = environment) =>
    () =>
      new BenchSide(name, process.execPath, [script(file), JSON.stringify({ ...common, ...options })], { env });
  const torch = (name, compile) => () =>
    new BenchSide(name, python, ['torch_step.py', JSON.stringify({ ...common, prune: true, compile })], {
      cwd: reference,
      env: environment,
    });

  const ours = node(OURS, 'step-participant', { engine: 'onnxruntime' });
  const torches = [];
  if (python !== undefined) torches.push(torch('PyTorch eager', false));
  if (python !== undefined && compiled) torches.push(torch('PyTorch compiled', true));
  const onTensorFlow = [];
  if (tensorflow !== undefined) {
    const { bindingPath } = tensorflow;
    const env = { ...environment, TF_NUM_INTRAOP_THREADS: String(threads), TF_CPP_MIN_LOG_LEVEL: '2' };
    onTensorFlow.push(node(OURS_ON_TENSORFLOW, 'step-participant', { engine: 'tensorflow', enginesDir }));
    onTensorFlow.push(node(TFJS_NODE, 'tfjs-node-participant', { bindingPath }, env));
  }
  const others = [...torches, ...onTensorFlow];
  if (!apart || others.length === 0) return [[ours, ...others]];
  const alone = onTensorFlow.map((side) => [ours, side]);
  return torches.length === 0 ? alone : [[ours, ...torches], ...alone];
}

/** Starts each side when the one before is ready, then lets them take turns. */
async function takeTurns(setting, starts) {
  const sides = [];
  const started = [];
  try {
    for (const start of starts) {
      sides.push(start());
      started.push(await sides.at(-1).ready());
      // Later ones grow apart by rounding.
      const [first, last] = [0, -1].map((i) => ({ name: sides.at(i).name, losses: started.at(i).losses.slice(0, 3) }));
      checkLosses(setting.name, first, last, setting.tolerance);
    }
    for (let round = 0; round < setting.rounds; round++) {
      for (const side of sides) await side.turn(setting.steps);
    }
    return sides.map((side, i) => ({ side, started: started[i] }));
  } finally {
    for (const side of sides) await side.close();
  }
}

/** By the end of their names: to the faster and to the leaner PyTorch, and of ours to tfjs-node. */
function ratiosOf(groups) {
  const speeds = new Map();
  const memories = new Map();
  for (const [{ side: ours }, ...others] of groups) {
    for (const { side } of others) {
      speeds.set(side.name, median(ours.times.map((ms, round) => side.times[round] / ms)));
      memories.set(side.name, side.last.rssMib / ours.last.rssMib);
    }
  }
  const ratios = {};
  const torches = [...speeds.keys()].filter((name) => name.startsWith('PyTorch'));
  if (torches.length > 0) {
    ratios[''] = Math.min(...torches.map((name) => speeds.get(name)));
    ratios._memory = Math.min(...torches.map((name) => memories.get(name)));
    if (speeds.has(OURS_ON_TENSORFLOW)) ratios._tensorflow = ratios[''] / speeds.get(OURS_ON_TENSORFLOW);
  }
  if (speeds.has(TFJS_NODE)) {
    ratios._over_tfjs_node = speeds.get(TFJS_NODE);
    ratios._over_tfjs_node_memory = memories.get(TFJS_NODE);
  }
  return ratios;
}

const ratios = {};
const details = {};
for (const setting of settings) {
  const groups = [];
  for (const starts of groupsOf(setting)) groups.push(await takeTurns(setting, starts));
  const found = ratiosOf(groups);
  const rows = groups.flatMap((group, i) =>
    group.map(({ side: { name, times, last }, started: { readySeconds } }, j) => [
      i > 0 && j === 0 ? `${name}, beside ${group[1].side.name}` : name,
      { ms: median(times), rssMib: last.rssMib, readySeconds },
    ]),
  );
  console.log(`\n${setting.name} (${setting.rounds} rounds of ${setting.steps} steps, median)`);
  console.table(
    Object.fromEntries(
      rows.map(([name, { ms, rssMib, readySeconds }]) => [
        name,
        {
          'ms a step': Number(ms.toFixed(1)),
          'samples/s': Number(((setting.batch * 1000) / ms).toFixed(1)),
          'peak RSS, MiB': rssMib,
          'ready after, s': Number(readySeconds.toFixed(1)),
        },
      ]),
    ),
  );
  const [[{ side: ours, started }]] = groups;
  details[setting.key] = {
    phasesMs: ours.last.phases,
    mainThreadMs: ours.last.mainThreadMs,
    compileSeconds: started.compileSeconds,
    sides: Object.fromEntries(rows),
  };
  for (const [of, ratio] of Object.entries(found)) ratios[`${setting.key}${of}`] = Number(ratio.toFixed(3));
  const line = (speed, memory, baseline) =>
    speed && console.log(`${speed.toFixed(2)} x the speed of ${baseline}, ${(1 / memory).toFixed(2)} x its memory`);
  line(found[''], found._memory, 'PyTorch');
  line(found._over_tfjs_node, found._over_tfjs_node_memory, TFJS_NODE);
}
if (python === undefined) console.log('\nPYTHON is not set: no PyTorch (scripts/reference/setup.sh sets one up)');
console.log(JSON.stringify({ bench: 'engine', ratios, details }));
