/**
 * Our side of `npm run bench -- engine`: the product's train step as a rank runs it, alone in its world. Takes its
 * configuration as JSON, reads a number of steps a line, answers with a line of JSON, as scripts/reference/torch_step.py.
 */
import { createInterface } from 'node:readline';
import { createGroup } from '@clipyard/collectives';
import { openEngine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { formulaValues, formulaWords } from '@clipyard/testkit';
import { planRun } from '../dist/step/run-plan.js';
import { TrainState } from '../dist/step/train-state.js';
import { TrainStep } from '../dist/step/train-step.js';

const options = JSON.parse(process.argv[2]);
const { batch, micro, threads, adamw, warmup } = options;
const config = parseModelConfig(options.model);
const started = performance.now();
const { engine: name, enginesDir } = options;
const engine = await openEngine({ engine: name, threads, ...(enginesDir === undefined ? {} : { enginesDir }) });
const specs = parameterSpecs(config);
const layout = parameterLayout(specs);
const group = createGroup([], { rank: 0, worldSize: 1 });
const state = new TrainState(engine, specs, layout, 0, 1);
for (const { name, shape } of specs) {
  if (name === 'logit_scale') {
    state.logitScale = Math.fround(Math.log(1 / 0.07));
    continue;
  }
  const gain = shape.length === 1 && name.endsWith('.weight');
  const scale = shape.length > 1 && shape.at(-1) >= 512 ? 0.03125 : 0.0625;
  layout.view(state.parameters, name).set(formulaValues(name, layout.size(name), scale, gain ? 1 : 0));
}
const plan = planRun(
  { batch: { global: batch, ...(micro < batch && { micro }) }, duration: { steps: 1 } },
  batch,
  0,
  1,
);
const compiling = performance.now();
const stepper = await TrainStep.create(
  { engine, group, state },
  { config, plan, optimizer: { ...adamw, clipNorm: null }, maxLogitScale: 100 },
);
const compileSeconds = (performance.now() - compiling) / 1000;

const { image_size: size } = config.vision_cfg;
const { context_length: length, vocab_size: vocabulary } = config.text_cfg;
const pixels = Uint8Array.from(formulaWords('images', batch * size * size * 3), (word) => (word >>> 8) % 256);
const tokens = Int32Array.from(formulaWords('tokens', batch * length), (word) => word % (vocabulary - 2));
for (let sample = 0; sample < batch; sample++) tokens[(sample + 1) * length - 1] = vocabulary - 1;

const { signal } = new AbortController();
let steps = 0;
async function step() {
  const start = performance.now();
  const { loss } = await stepper.run({ pixels, tokens }, adamw.lr, steps++, signal);
  return { loss, ms: performance.now() - start };
}

const say = (message) =>
  console.log(JSON.stringify({ ...message, rssMib: Math.round(process.resourceUsage().maxRSS / 1024) }));

const losses = [];
for (let i = 0; i < warmup; i++) losses.push((await step()).loss);
say({ losses, readySeconds: (performance.now() - started) / 1000, compileSeconds });
for await (const line of createInterface({ input: process.stdin })) {
  stepper.timer.take();
  const before = performance.eventLoopUtilization();
  const ms = [];
  for (let i = 0; i < Number(line); i++) ms.push((await step()).ms);
  const { active } = performance.eventLoopUtilization(before);
  const phases = [...stepper.timer.take()].map(([phase, total]) => [phase, total / ms.length]);
  say({ ms, mainThreadMs: active / ms.length, phases: Object.fromEntries(phases) });
}
await stepper.dispose();
await engine.close();
