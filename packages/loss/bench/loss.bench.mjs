/**
 * One rank's contrastive loss with all gradients: tiled, against one program that holds the whole matrix of logits, and
 * against PyTorch as open_clip computes it.
 *
 *     PYTHON=… npm run bench -- loss [--rounds N] [--smoke]
 *
 * Each side is a process of its own, which also keeps memory that one left behind from hiding what the next takes; those
 * of one size take turns, and their losses must agree. Our whole matrix takes part at the smaller size only, PyTorch at
 * the full one where its matrices fit into free memory, and without PYTHON (scripts/reference/setup.sh) not at all.
 * A ratio is theirs over ours: above 1 the tiled loss is faster, or takes less memory. `--smoke` runs everything at a
 * hundredth of the size.
 */
import { availableParallelism, freemem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchSide, checkLosses, median } from '@clipyard/testkit';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string' }, smoke: { type: 'boolean', default: false } },
});
const python = process.env.PYTHON;
const rounds = Number(flags.rounds ?? 3);
const COMMON = {
  dimension: 512,
  threads: Math.min(2, availableParallelism()),
  logitScale: Math.log(1 / 0.07),
  warmup: 1,
};
const SIZES = flags.smoke
  ? { full: { localRows: 512, globalRows: 4096 }, small: { localRows: 128, globalRows: 1024 } }
  : { full: { localRows: 4096, globalRows: 32768 }, small: { localRows: 1024, globalRows: 8192 } };
/** How far the same loss in float32 may differ, relative. */
const TOLERANCE = 1e-5;
/** Matrices of logits that PyTorch has at once: two of each of logits, their log-softmax and its gradient, and some. */
const MATRICES = 8;

const participant = fileURLToPath(new URL('./loss-participant.mjs', import.meta.url));
const reference = fileURLToPath(new URL('../../../scripts/reference/', import.meta.url));
const ours = (name, side, size) =>
  new BenchSide(name, process.execPath, [participant, JSON.stringify({ ...COMMON, ...size, side })]);
const torch = (size) =>
  new BenchSide('PyTorch', python, ['torch_loss.py', JSON.stringify({ ...COMMON, ...size })], { cwd: reference });

function fits({ localRows, globalRows }) {
  const needed = MATRICES * 4 * localRows * globalRows;
  if (needed <= freemem()) return true;
  const gib = (bytes) => (bytes / 2 ** 30).toFixed(1);
  console.log(`PyTorch is left out at ${localRows} x ${globalRows}: ${gib(needed)} GiB, ${gib(freemem())} are free`);
  return false;
}

function* sidesOf(which, size) {
  yield ours('tiled', 'tiled', size);
  if (which === 'small') yield ours('whole matrix', 'wholeMatrix', size);
  if (python !== undefined && fits(size)) yield torch(size);
}

/** Seconds and growth of the peak memory over what a process had before its inputs, by side. */
async function measure(which) {
  const size = SIZES[which];
  const sides = [];
  const readies = [];
  try {
    for (const side of sidesOf(which, size)) {
      sides.push(side);
      readies.push(await side.ready());
      const [first, last] = [0, -1].map((i) => ({ name: sides.at(i).name, losses: readies.at(i).losses }));
      checkLosses(`${size.localRows} x ${size.globalRows}`, first, last, TOLERANCE);
    }
    for (let round = 0; round < rounds; round++) for (const side of sides) await side.turn(1);
    return Object.fromEntries(
      sides.map((side, i) => [
        side.name,
        { times: side.times, seconds: median(side.times) / 1000, mib: side.last.rssMib - readies[i].beforeMib },
      ]),
    );
  } finally {
    for (const side of sides) await side.close();
  }
}

const round = (value, digits) => Number(value.toFixed(digits));
const speed = (side, over) => round(median(side.times.map((ms, i) => over.times[i] / ms)), 3);
const memory = (side, over) => round(over.mib / side.mib, 2);
const logitsOf = ({ localRows, globalRows }) => localRows * globalRows;

const results = { full: await measure('full'), small: await measure('small') };
const rows = Object.entries(results).flatMap(([which, sides]) =>
  Object.entries(sides).map(([name, { seconds, mib }]) => [
    `${name}, ${which}`,
    {
      local: SIZES[which].localRows,
      global: SIZES[which].globalRows,
      seconds: round(seconds, 3),
      'ns a logit': round((seconds * 1e9) / logitsOf(SIZES[which]), 1),
      'memory MiB': Math.round(mib),
    },
  ]),
);
const turns = `${rounds} turn${rounds === 1 ? '' : 's'}`;
console.log(`D = ${COMMON.dimension}, ${COMMON.threads} threads, median of ${turns}, both directions, all gradients`);
console.table(Object.fromEntries(rows));
if (python === undefined) console.log('PYTHON is not set: no PyTorch (scripts/reference/setup.sh sets one up)');

const { full, small } = results;
const whole = small['whole matrix'];
const ratios = {
  small_over_whole: speed(small.tiled, whole),
  small_over_whole_memory: memory(small.tiled, whole),
  full_over_whole_per_logit: round(
    whole.seconds / logitsOf(SIZES.small) / (full.tiled.seconds / logitsOf(SIZES.full)),
    3,
  ),
};
for (const [which, { tiled, PyTorch: torch }] of Object.entries(results)) {
  if (torch === undefined) continue;
  ratios[which] = speed(tiled, torch);
  ratios[`${which}_memory`] = memory(tiled, torch);
}
console.log(
  JSON.stringify({
    bench: 'loss',
    ratios,
    seconds: round(full.tiled.seconds, 3),
    memoryMib: Math.round(full.tiled.mib),
  }),
);
