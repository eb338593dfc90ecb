/**
 * Whole train steps of presets of open_clip's sizes, as one rank alone in its world makes them: seconds to compile each
 * program, seconds a step by phase, peak memory, and what of it are the buffers that a rank keeps.
 *
 *     npm run bench -- real-size [--only ViT-B-32] [--steps N] [--global B] [--micro m] [--batch-norm global]
 *
 * Each model runs in a process of its own. There is no baseline here: `engine` has PyTorch's.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGroup } from '@clipyard/collectives';
import { openEngine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, resolveModelConfig } from '@clipyard/model';
import { formulaWords } from '@clipyard/testkit';
import { planRun } from '../dist/step/run-plan.js';
import { TrainState } from '../dist/step/train-state.js';
import { TrainStep } from '../dist/step/train-step.js';

const SETTINGS = [
  { preset: 'ViT-B-32', global: 64, micro: 16 },
  { preset: 'ViT-L-14-336', global: 2, micro: 1 },
  { preset: 'RN50', global: 16, micro: 8 },
];
const THREADS = Math.min(2, availableParallelism());
const OPTIMIZER = { lr: 1e-4, betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2, clipNorm: null };

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    steps: { type: 'string', default: '2' },
    global: { type: 'string' },
    micro: { type: 'string' },
    'batch-norm': { type: 'string', default: 'local' },
    /** JSON of the setting that this process measures itself. */
    measure: { type: 'string' },
  },
});

const MIB = 2 ** 20;
const seconds = (since) => Number(((performance.now() - since) / 1000).toFixed(3));
const peakMib = () => Math.round(process.resourceUsage().maxRSS / 1024);

/** The engine, noting how long each program takes to compile and how much memory the process has then. */
function timed(engine, programs) {
  const compiling =
    (method) =>
    async (...args) => {
      const start = performance.now();
      const program = await engine[method](...args);
      programs[program.name] = { seconds: seconds(start), rssMib: Math.round(process.memoryUsage.rss() / MIB) };
      return program;
    };
  return {
    compile: compiling('compile'),
    compileStaged: compiling('compileStaged'),
    allocate: (dtype, length) => engine.allocate(dtype, length),
  };
}

async function measure({ preset, global, micro, steps, batchNorm }) {
  const config = resolveModelConfig({ preset });
  const specs = parameterSpecs(config);
  const layout = parameterLayout(specs);
  const programs = {};
  const engine = await openEngine({ engine: 'onnxruntime', threads: THREADS });
  const noting = timed(engine, programs);
  const state = new TrainState(noting, specs, layout, 0, 1);
  const initializing = performance.now();
  state.initialize(0);
  const initializeSeconds = seconds(initializing);
  const planned = planRun({ batch: { global, micro }, duration: { steps: 1 } }, global, {
    rank: 0,
    worldSize: 1,
    cutsShare: engine.device === 'cpu',
  });
  const plan = { ...planned, keepsTapes: planned.keepsTapes || batchNorm === 'global' };
  const stepper = await TrainStep.create(
    { engine: noting, group: createGroup([], { rank: 0, worldSize: 1 }), state },
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
  const { image_size: size } = config.vision_cfg;
  const { context_length: length, vocab_size: vocabulary } = config.text_cfg;
  const pixels = Uint8Array.from(formulaWords('images', global * size * size * 3), (word) => (word >>> 8) % 256);
  const tokens = Int32Array.from(formulaWords('tokens', global * length), (word) => word % (vocabulary - 2));
  for (let sample = 1; sample <= global; sample++) tokens[sample * length - 1] = vocabulary - 1;
  const compiledPeakMib = peakMib();
  const { signal } = new AbortController();
  const made = [];
  for (let step = 0; step < steps; step++) {
    const start = performance.now();
    const { loss } = await stepper.run({ pixels, tokens }, OPTIMIZER.lr, step, signal);
    const phases = [...stepper.timer.take()].map(([phase, ms]) => [phase, Number((ms / 1000).toFixed(3))]);
    made.push({ lossValue: loss, seconds: seconds(start), phases: Object.fromEntries(phases), peakMib: peakMib() });
  }
  await stepper.dispose();
  await engine.close();
  return {
    preset,
    global,
    micro: plan.microBatch,
    parameters: layout.total,
    initializeSeconds,
    programs,
    compiledPeakMib,
    /** Parameters, gradients and two moments. */
    stateMib: Math.round((4 * 4 * layout.total) / MIB),
    steps: made,
    peakMib: peakMib(),
  };
}

async function inOwnProcess(setting) {
  const args = [fileURLToPath(import.meta.url), '--measure', JSON.stringify(setting)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  const code = await new Promise((resolve) => child.once('close', (code, killedBy) => resolve(code ?? killedBy)));
  if (code !== 0) throw new Error(`${setting.preset} ended with ${code}`);
  return JSON.parse(text);
}

if (flags.measure !== undefined) {
  console.log(JSON.stringify(await measure(JSON.parse(flags.measure))));
} else {
  const results = [];
  for (const setting of SETTINGS.filter(({ preset }) => flags.only === undefined || preset === flags.only)) {
    const { preset, global, micro } = setting;
    const result = await inOwnProcess({
      preset,
      global: Number(flags.global ?? global),
      micro: Number(flags.micro ?? micro),
      steps: Number(flags.steps),
      batchNorm: flags['batch-norm'],
    });
    console.log(
      `${preset}, ${Math.round(result.parameters / 1e6)} M parameters, global batch ${result.global}, micro-batch ${result.micro}, ${THREADS} threads`,
    );
    console.log(
      `weights in ${result.initializeSeconds} s; parameters, gradients and moments are ${result.stateMib} of ${result.peakMib} MiB at the peak (${result.compiledPeakMib} before the first step)`,
    );
    console.table(result.programs);
    console.table(result.steps.map(({ phases, ...step }) => ({ ...step, ...phases })));
    results.push(result);
  }
  console.log(JSON.stringify({ bench: 'real-size', threads: THREADS, results }));
}
