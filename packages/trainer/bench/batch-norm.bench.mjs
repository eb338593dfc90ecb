/**
 * What batch norm over the global batch costs against local batch norm: a train step of a small ResNet on two ranks, each
 * with one thread of this process, and the collectives that a rank takes part in.
 *
 *     npm run bench -- batch-norm [--rounds N] [--steps N] [--global B]
 *
 * The two take turns, a few steps at a time; the ratio is the median over rounds of local's time over global's. Collectives
 * are between ranks in one process: to each of the exchanges a network adds its latency.
 */
import { parseArgs } from 'node:util';
import { openEngine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { formulaWords, median, referenceGroups } from '@clipyard/testkit';
import { planRun } from '../dist/step/run-plan.js';
import { TrainState } from '../dist/step/train-state.js';
import { TrainStep } from '../dist/step/train-step.js';

const RANKS = 2;
const WARMUP = 3;
const CONFIG = {
  embed_dim: 128,
  vision_cfg: { image_size: 64, layers: [2, 2, 2, 2], width: 16, head_width: 32 },
  text_cfg: { context_length: 16, vocab_size: 256, width: 64, heads: 2, layers: 2 },
};
const OPTIMIZER = { lr: 1e-4, betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2, clipNorm: null };

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    steps: { type: 'string', default: '3' },
    global: { type: 'string', default: '64' },
  },
});
const [rounds, stepsPerTurn, global] = [flags.rounds, flags.steps, flags.global].map(Number);
const config = parseModelConfig(CONFIG);
const { image_size: size } = config.vision_cfg;
const { context_length: length, vocab_size: vocabulary } = config.text_cfg;
const pixels = Uint8Array.from(formulaWords('images', global * size * size * 3), (word) => (word >>> 8) % 256);
const tokens = Int32Array.from(formulaWords('tokens', global * length), (word) => word % (vocabulary - 2));
for (let sample = 1; sample <= global; sample++) tokens[sample * length - 1] = vocabulary - 1;
const { signal } = new AbortController();

/** The group, counting calls and the bytes that a rank puts in. */
function counted(group, counts) {
  const count =
    (method) =>
    (input, ...rest) => {
      counts.collectives++;
      counts.bytes += input.byteLength;
      return group[method](input, ...rest);
    };
  const { rank, worldSize } = group;
  return {
    rank,
    worldSize,
    allGather: count('allGather'),
    allReduce: count('allReduce'),
    reduceScatter: count('reduceScatter'),
  };
}

async function openSide(batchNorm) {
  const counts = { collectives: 0, bytes: 0 };
  const specs = parameterSpecs(config);
  const layout = parameterLayout(specs);
  const started = performance.now();
  const ranks = await Promise.all(
    referenceGroups(RANKS).map(async (group) => {
      const { rank } = group;
      const engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
      const state = new TrainState(engine, specs, layout, rank, RANKS);
      state.initialize(0);
      const place = { rank, worldSize: RANKS, cutsShare: batchNorm === 'global' };
      const plan = planRun({ batch: { global }, duration: { steps: 1 } }, global, place);
      const stepper = await TrainStep.create(
        { engine, group: rank === 0 ? counted(group, counts) : group, state },
        {
          config,
          plan,
          optimizer: OPTIMIZER,
          loss: { type: 'clip', maxLogitScale: 100, labelSmoothing: 0, maskDuplicates: 'none' },
          compute: 'fp32',
          batchNorm,
          seed: 0,
        },
      );
      const part = (all) => all.subarray((rank * all.length) / RANKS, ((rank + 1) * all.length) / RANKS);
      const batch = { pixels: part(pixels), tokens: part(tokens) };
      return { engine, stepper, step: (at) => stepper.run(batch, OPTIMIZER.lr, at, signal) };
    }),
  );
  const compileSeconds = Number(((performance.now() - started) / 1000).toFixed(1));
  let at = 0;
  const step = async () => {
    const results = await Promise.all(ranks.map((rank) => rank.step(at)));
    at++;
    return results[0].loss;
  };
  for (let i = 0; i < WARMUP; i++) await step();
  Object.assign(counts, { collectives: 0, bytes: 0 });
  const times = [];
  return {
    compileSeconds,
    times,
    turn: async () => {
      const ms = [];
      for (let i = 0; i < stepsPerTurn; i++) {
        const start = performance.now();
        await step();
        ms.push(performance.now() - start);
      }
      times.push(median(ms));
    },
    perStep: () => ({
      collectives: counts.collectives / (rounds * stepsPerTurn),
      kib: Math.round(counts.bytes / (rounds * stepsPerTurn) / 1024),
    }),
    close: async () => {
      for (const { stepper, engine } of ranks) {
        await stepper.dispose();
        await engine.close();
      }
    },
  };
}

const [local, globally] = [await openSide('local'), await openSide('global')];
for (let round = 0; round < rounds; round++) {
  await local.turn();
  await globally.turn();
}
const row = ({ times, compileSeconds, perStep }) => ({
  ms: Number(median(times).toFixed(1)),
  compileSeconds,
  ...perStep(),
});
const results = { local: row(local), global: row(globally) };
const ratio = Number(median(local.times.map((ms, i) => ms / globally.times[i])).toFixed(3));
console.log(`small ResNet, ${RANKS} ranks, global batch ${global}: local over global ${ratio}`);
console.table(results);
console.log(JSON.stringify({ bench: 'batch-norm', ranks: RANKS, global, ratio, results }));
await local.close();
await globally.close();
