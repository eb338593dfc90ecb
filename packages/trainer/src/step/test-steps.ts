import { type ComputePrecision, type Engine, type OpenEngineOptions, openEngine } from '@clipyard/engine';
import { type ModelConfig, type ParameterSpec, parameterLayout } from '@clipyard/model';
import { builtTensorFlow, expectBitwise, formulaWords, referenceGroups } from '@clipyard/testkit';
import type { StepBatch } from './micro-batches.js';
import { planRun } from './run-plan.js';
import type { TeacherWeights } from './teacher.js';
import { TrainState, type TrainStateOptions } from './train-state.js';
import { TrainStep, type TrainStepOptions } from './train-step.js';

/** Train steps on W ranks in one process, for tests. */
export interface TestSteps {
  readonly config: ModelConfig;
  readonly specs: readonly ParameterSpec[];
  /** Global batches, one a step. */
  readonly batches: readonly StepBatch[];
  /** Number of the first step; default 0. */
  readonly firstStep?: number;
  readonly optimizer: Pick<TrainStepOptions['optimizer'], 'lr' | 'betas' | 'eps' | 'weightDecay'> &
    Partial<TrainStepOptions['optimizer']>;
  readonly loss: TrainStepOptions['loss'];
  /** Default 1. */
  readonly worldSize?: number;
  /** Samples of a micro-batch; default: all of a rank. */
  readonly micro?: number | undefined;
  /** Default: as the plan has it. */
  readonly keepsTapes?: boolean | undefined;
  readonly compute?: ComputePrecision | undefined;
  readonly checkpointBlocks?: boolean | undefined;
  readonly batchNorm?: TrainStepOptions['batchNorm'];
  readonly teacher?: TeacherWeights | undefined;
  readonly stored?: TrainStateOptions;
  /** Of a state that is all zeros. */
  initialize(state: TrainState): void;
}

/** What rank 0 has, and all others bitwise the same. */
export interface TestResult {
  /** Of each step, as all that follow. */
  readonly losses: readonly number[];
  readonly logits: readonly { readonly scale: number; readonly bias: number }[];
  /** Running statistics by name. */
  readonly statistics: readonly Readonly<Record<string, Float32Array>>[];
  readonly initial: Float32Array;
  readonly parameters: Float32Array;
  /** Of the last step and all ranks together, by parameter; multiplied where the step scales it. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
  readonly state: TrainState;
}

export async function trainSteps(engine: Engine, given: TestSteps): Promise<TestResult> {
  const { config, specs, batches, firstStep = 0, optimizer, worldSize = 1 } = given;
  const layout = parameterLayout(specs);
  const running = specs.filter((spec) => spec.running).map(({ name }) => name);
  const globalBatch = batches[0]!.tokens.length / config.text_cfg.context_length;
  const micro = given.micro ?? globalBatch / worldSize;
  const { signal } = new AbortController();
  const results = await Promise.all(
    referenceGroups(worldSize).map(async (group): Promise<Omit<TestResult, 'gradients'>> => {
      const { rank } = group;
      const state = new TrainState(engine, specs, layout, rank, worldSize, given.stored);
      given.initialize(state);
      const initial = state.parameters.slice(0, layout.total);
      const sizes = { batch: { global: globalBatch, micro }, duration: { steps: batches.length } };
      const planned = planRun(sizes, 1000, { rank, worldSize, cutsShare: false });
      const plan = { ...planned, keepsTapes: given.keepsTapes ?? planned.keepsTapes };
      const stepper = await TrainStep.create(
        { engine, group, state },
        {
          config,
          plan,
          optimizer: { clipNorm: null, emaDecay: null, ...optimizer },
          loss: given.loss,
          teacher: given.teacher,
          compute: given.compute ?? 'fp32',
          checkpointBlocks: given.checkpointBlocks,
          batchNorm: given.batchNorm,
          seed: 0,
        },
      );
      const part = <T extends Uint8Array | Int32Array>(all: T): T =>
        all.subarray((rank * all.length) / worldSize, ((rank + 1) * all.length) / worldSize) as T;
      const losses: number[] = [];
      const logits: { scale: number; bias: number }[] = [];
      const statistics: Record<string, Float32Array>[] = [];
      try {
        for (const [step, { pixels, tokens }] of batches.entries()) {
          const own = { pixels: part(pixels), tokens: part(tokens) };
          losses.push((await stepper.run(own, optimizer.lr, firstStep + step, signal)).loss);
          logits.push({ scale: state.logitScale, bias: state.logitBias });
          statistics.push(Object.fromEntries(running.map((name) => [name, state.view(name).slice()])));
        }
      } finally {
        await stepper.dispose();
      }
      return { losses, logits, statistics, initial, parameters: state.parameters.slice(0, layout.total), state };
    }),
  );
  const [first, ...others] = results;
  for (const { losses, parameters, statistics } of others) {
    expectBitwise(parameters, first!.parameters);
    expectBitwise(Float32Array.from(losses), Float32Array.from(first!.losses));
    for (const [step, of] of statistics.entries())
      for (const name of running) expectBitwise(of[name]!, first!.statistics[step]![name]!);
  }
  const gradients = Float32Array.from(results.flatMap(({ state }) => [...state.sliceGradients]));
  return { ...first!, gradients: layout.views(gradients.subarray(0, layout.total)) };
}

/** Bytes of pictures [batch,size,size,3] by formula. */
export const formulaPixels = (name: string, batch: number, size: number): Uint8Array =>
  Uint8Array.from(formulaWords(name, batch * size * size * 3), (word) => (word >>> 8) % 256);

type StepEngine = 'onnxruntime' | 'tensorflow' | 'cpu';

/** The engines that train steps are tested on: tensorflow where the test run built it. */
export function stepEngines() {
  const built = builtTensorFlow();
  const names: readonly StepEngine[] = ['onnxruntime', ...('missing' in built ? [] : ['tensorflow' as const])];
  const open = (engine: StepEngine, options: Partial<OpenEngineOptions> = {}): Promise<Engine> =>
    openEngine({ engine, threads: 1, ...('missing' in built ? {} : built), ...options });
  return { names, open };
}
