/**
 * The product's train step against PyTorch on this machine: encode, gather, tiled loss, backward, AdamW.
 *
 *     PYTHON=… npm run bench -- engine [--only small|real] [--rounds N] [--engines DIR] [--smoke]
 *
 * Each side is a process of its own; they take turns, a few steps at a time, so that a change of the machine's speed
 * meets all of them. The arithmetic is the same: both prune the last block to the rows that are read, and the losses of
 * the first steps must agree. A ratio is the median over rounds of PyTorch's time (the faster of eager and compiled)
 * over ours: above 1 we are faster. Without PYTHON (scripts/reference/setup.sh) only our own times are printed. With
 * --engines, where `clipyard engines build tensorflow` put it, the tensorflow engine takes part at 2 threads.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { resolveModelConfig } from '@clipyard/model';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    engines: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const python = process.env.PYTHON;
const reference = fileURLToPath(new URL('../../../scripts/reference/', import.meta.url));
const participant = fileURLToPath(new URL('./step-participant.mjs', import.meta.url));

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
    warmup: 10,
    // How far the same loss in float32 may differ, relative.
    tolerance: 1e-5,
    compiled: true,
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
  compiled: false,
};
const settings = [...(flags.only === 'real' ? [] : small), ...(flags.only === 'small' ? [] : [real])];

/** A process that makes steps on demand. */
class Side {
  constructor(name, command, args, cwd) {
    this.name = name;
    this.child = spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.times = [];
  }

  async answer() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended early`);
    this.last = JSON.parse(value);
    return this.last;
  }

  async steps(count) {
    this.child.stdin.write(`${count}\n`);
    const { ms } = await this.answer();
    this.times.push(median(ms));
  }

  async close() {
    this.child.stdin.end();
    if (this.child.exitCode === null) await once(this.child, 'exit');
  }
}

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function sidesOf(setting) {
  const { model, batch, micro, threads, warmup, compiled } = setting;
  const common = { model, batch, micro, threads, warmup, adamw: ADAMW };
  const clipyard = (name, options) =>
    new Side(name, process.execPath, [participant, JSON.stringify({ ...common, ...options })]);
  const ours = [clipyard('clipyard', { engine: 'onnxruntime' })];
  if (flags.engines !== undefined && compiled && threads === 2) {
    ours.push(clipyard('clipyard, tensorflow', { engine: 'tensorflow', enginesDir: resolve(flags.engines) }));
  }
  if (python === undefined) return ours;
  const torch = (name, options) =>
    new Side(name, python, ['torch_step.py', JSON.stringify({ ...common, prune: true, ...options })], reference);
  return [
    ...ours,
    torch('PyTorch eager', { compile: false }),
    ...(compiled ? [torch('PyTorch compiled', { compile: true })] : []),
  ];
}

/** Ratio to the faster of the others, round by round. */
function ratiosOf(sides) {
  const [ours] = sides;
  const others = sides.filter(({ name }) => name.startsWith('PyTorch'));
  if (others.length === 0) return undefined;
  const best = others.reduce((a, b) => (median(b.times) < median(a.times) ? b : a));
  const speedOver = (other, side) => median(side.times.map((ms, round) => other.times[round] / ms));
  const tensorflow = sides.find(({ name }) => name.endsWith('tensorflow'));
  const leanest = Math.min(...others.map(({ last }) => last.rssMib));
  return {
    speed: speedOver(best, ours),
    tensorflow: tensorflow && speedOver(best, tensorflow),
    memory: leanest / ours.last.rssMib,
  };
}

async function measure(setting) {
  const sides = [];
  try {
    for (const side of sidesOf(setting)) sides.push(side);
    const started = await Promise.all(sides.map((side) => side.answer()));
    for (const { losses } of started) {
      losses.forEach((loss, step) => {
        const expected = started[0].losses[step];
        if (!(Math.abs(loss - expected) <= setting.tolerance * expected)) {
          throw new Error(`${setting.name}: the losses differ: ${started.map((s) => s.losses.join(' ')).join(' | ')}`);
        }
      });
    }
    for (let round = 0; round < setting.rounds; round++) {
      for (const side of sides) await side.steps(setting.steps);
    }
    return { sides, started, ratios: ratiosOf(sides) };
  } finally {
    for (const side of sides) await side.close();
  }
}

const ratios = {};
const details = {};
for (const setting of settings) {
  const { sides, started, ratios: found } = await measure(setting);
  console.log(`\n${setting.name} (${setting.rounds} rounds of ${setting.steps} steps, median)`);
  console.table(
    Object.fromEntries(
      sides.map(({ name, times, last }, i) => [
        name,
        {
          'ms a step': Number(median(times).toFixed(1)),
          'samples/s': Number(((setting.batch * 1000) / median(times)).toFixed(1)),
          'peak RSS, MiB': last.rssMib,
          'ready after, s': Number(started[i].readySeconds.toFixed(1)),
        },
      ]),
    ),
  );
  const [ours] = sides;
  details[setting.key] = {
    ms: median(ours.times),
    phasesMs: ours.last.phases,
    mainThreadMs: ours.last.mainThreadMs,
    compileSeconds: started[0].compileSeconds,
    rssMib: ours.last.rssMib,
  };
  if (found === undefined) continue;
  ratios[setting.key] = Number(found.speed.toFixed(3));
  ratios[`${setting.key}_memory`] = Number(found.memory.toFixed(2));
  if (found.tensorflow !== undefined) ratios[`${setting.key}_tensorflow`] = Number(found.tensorflow.toFixed(3));
  console.log(`${found.speed.toFixed(2)} x the speed of PyTorch, ${(1 / found.memory).toFixed(2)} x its memory`);
}
if (python === undefined) console.log('\nPYTHON is not set: no comparison (scripts/reference/setup.sh makes one)');
console.log(JSON.stringify({ bench: 'engine', ratios, details }));
