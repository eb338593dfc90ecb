/**
 * AdamW late in a run, when half of the parameters have had no gradient since the first step, as the embeddings of tokens
 * that captions rarely use: against the same when all have one, and against PyTorch's.
 *
 *     PYTHON=… npm run bench -- adamw [--rounds N] [--smoke]
 *
 * Moments without gradients fade into subnormal numbers, which processors are slow at; ours end there. Each side is a
 * process of its own; they take turns. A ratio is theirs over ours: above 1 we are faster. Without PYTHON
 * (scripts/reference/setup.sh) there is no PyTorch.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchSide, median } from '@clipyard/testkit';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string' }, smoke: { type: 'boolean', default: false } },
});
const python = process.env.PYTHON;
const rounds = Number(flags.rounds ?? 5);
/** Second moments of 1e-8 are subnormal after 3,500 steps with a beta of 0.98. */
const COMMON = {
  length: 1 << 17,
  warmup: flags.smoke ? 100 : 4000,
  lr: 1e-3,
  betas: [0.9, 0.98],
  eps: 1e-6,
  threads: 1,
};
const STEPS = 50;

const participant = fileURLToPath(new URL('./adamw-participant.mjs', import.meta.url));
const reference = fileURLToPath(new URL('../../../scripts/reference/', import.meta.url));
const ours = (name, unseen) =>
  new BenchSide(name, process.execPath, [participant, JSON.stringify({ ...COMMON, unseen })]);
const torch = (name, unseen) =>
  new BenchSide(name, python, ['torch_adamw.py', JSON.stringify({ ...COMMON, unseen })], { cwd: reference });

const sides = [ours('all have gradients', 0), ours('half have none', 0.5)];
if (python !== undefined) sides.push(torch('PyTorch, all have', 0), torch('PyTorch, half have none', 0.5));
try {
  for (const side of sides) await side.ready();
  for (let round = 0; round < rounds; round++) for (const side of sides) await side.turn(STEPS);
} finally {
  for (const side of sides) await side.close();
}

console.log(`AdamW of ${COMMON.length} parameters after ${COMMON.warmup} steps, 1 thread, ms a step`);
for (const { name, times } of sides) console.log(`${name.padEnd(26)}${median(times).toFixed(3).padStart(10)}`);
const over = ([a, b]) => Number(median(a.times.map((ms, round) => ms / b.times[round])).toFixed(2));
const [all, half, torchAll, torchHalf] = sides;
const ratios = { faded: over([all, half]) };
if (python !== undefined)
  Object.assign(ratios, { pytorch: over([torchAll, all]), pytorch_faded: over([torchHalf, half]) });
console.log(JSON.stringify({ bench: 'adamw', ratios }));
