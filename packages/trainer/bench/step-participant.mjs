/**
 * Our side of `npm run bench -- engine`: the product's train step as a rank runs it, alone in its world. Takes its
 * configuration as JSON.
 */
import { createGroup } from '@clipyard/collectives';
import { openEngine } from '@clipyard/engine';
import { parameterLayout, parameterSpecs, parseModelConfig } from '@clipyard/model';
import { answerSteps } from '@clipyard/testkit';
import { planRun } from '../dist/step/run-plan.js';
import { TrainState } from '../dist/step/train-state.js';
import { TrainStep } from '../dist/step/train-step.js';
import { batchOf, LOGIT_SCALE, weightsOf } from './bench-problem.mjs';

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
for (const spec of specs) {
  if (spec.name !== 'logit_scale') layout.view(state.parameters, spec.name).set(weightsOf(spec));
}
state.logitScale = LOGIT_SCALE;
const plan = planRun({ batch: { global: batch, ...(micro < batch && { micro }) }, duration: { steps: 1 } }, batch, {
  rank: 0,
  worldSize: 1,
  cutsShare: engine.device === 'cpu',
});
const compiling = performance.now();
const stepper = await TrainStep.create(
  { engine, group, state },
  {
    config,
    plan,
    optimizer: { ...adamw, clipNorm: null, emaDecay: null },
    loss: { type: 'clip', maxLogitScale: 100, labelSmoothing: 0, maskDuplicates: 'none' },
    compute: 'fp32',
    seed: 0,
  },
);
const compileSeconds = (performance.now() - compiling) / 1000;

const data = batchOf(config, batch);
const { signal } = new AbortController();
let steps = 0;
const step = async () => (await stepper.run(data, adamw.lr, steps++, signal)).loss;

function observe() {
  stepper.timer.take();
  const before = performance.eventLoopUtilization();
  return (count) => ({
    mainThreadMs: performance.eventLoopUtilization(before).active / count,
    phases: Object.fromEntries([...stepper.timer.take()].map(([phase, total]) => [phase, total / count])),
  });
}

await answerSteps({ step, warmup, started, ready: { compileSeconds }, observe });
await stepper.dispose();
await engine.close();
