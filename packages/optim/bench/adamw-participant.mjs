/** Our side of `npm run bench -- adamw`. Takes its configuration as JSON. */
import { openEngine } from '@clipyard/engine';
import { compileAdamW } from '@clipyard/optim';
import { storedFloats } from '@clipyard/tensor';
import { answerSteps, formulaValues } from '@clipyard/testkit';

const { length, unseen, warmup, lr, betas, eps, threads } = JSON.parse(process.argv[2]);
const started = performance.now();
const engine = await openEngine({ engine: 'onnxruntime', threads });
const adamw = await compileAdamW(engine, { length, betas, eps, weightDecay: 0.2 });
const stored = () => storedFloats('fp32', length, () => engine.allocate('float32', length));
const moments = { m: stored(), v: stored(), seed: 0, offset: 0 };
const param = engine.allocate('float32', length);
const grad = engine.allocate('float32', length);
param.set(formulaValues('param', length));
grad.set(formulaValues('grad', length, 1e-3));
let steps = 0;
async function step() {
  await adamw.step({ param, grad, moments, from: 0, lr, step: ++steps });
  if (steps === 1) grad.fill(0, 0, unseen * length);
  return param[0];
}
await answerSteps({ step, warmup, started });
await adamw.dispose();
await engine.close();
