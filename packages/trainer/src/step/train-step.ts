import { ClipyardError, type Group, type RunSpec } from '@clipyard/contracts';
import type { ComputePrecision, Engine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { clipScale, gradientNorm } from '@clipyard/optim';
import { GatheredEmbeddings } from './gathered-embeddings.js';
import { GlobalLoss } from './global-loss.js';
import { scaleGradient } from './gradient-scale.js';
import type { PlacedBatch, StepBatch } from './micro-batches.js';
import { compileUpdate, type ParameterUpdate } from './parameter-update.js';
import { PhaseTimer, type StepPhase } from './phase-timer.js';
import type { RunPlan } from './run-plan.js';
import type { TeacherWeights } from './teacher.js';
import { compileTowerPasses, type TowerPasses } from './tower-passes.js';
import type { TrainState } from './train-state.js';

/**
 * One training step on W ranks, by one path for W = 1 and W = n. Legend: B global batch, b = B/W rows of this rank,
 * m micro-batch, D embedding dimension.
 */
export interface StepResult {
  /** Of the global batch, the same on every rank. */
  readonly loss: number;
  readonly accuracy: number;
  /** With distillation: what the loss is the sum of. */
  readonly parts: { readonly contrastive: number; readonly distillation: number } | undefined;
  /** Global norm of the gradient before clipping. */
  readonly gradientNorm: number;
  /** What the gradients that the state holds are larger by. */
  readonly gradientScale: number;
}

export interface TrainStepOptions {
  readonly config: ModelConfig;
  readonly plan: RunPlan;
  readonly optimizer: Omit<RunSpec['optimizer'], 'layerDecay' | 'momentDtype'>;
  readonly loss: RunSpec['loss'];
  /** Where the loss distills; default: none. */
  readonly teacher?: TeacherWeights | undefined;
  /** What the towers round the operands of products to. */
  readonly compute: ComputePrecision;
  /** Default: what is within the blocks is kept for the backward pass. */
  readonly checkpointBlocks?: boolean | undefined;
  /** What batch norm takes its statistics over: a micro-batch or the global batch. Default local. */
  readonly batchNorm?: 'local' | 'global' | undefined;
  /** Of the run, for rounding and patch dropout. */
  readonly seed: number;
}

export class TrainStep {
  /** Of the last step's global batch. */
  readonly embeddings: GatheredEmbeddings;
  private readonly dImage_bD: Float32Array;
  private readonly dText_bD: Float32Array;

  private constructor(
    engine: Engine,
    private readonly group: Group,
    private readonly state: TrainState,
    private readonly options: TrainStepOptions,
    private readonly towers: TowerPasses,
    private readonly loss: GlobalLoss,
    private readonly parameterUpdate: ParameterUpdate,
    readonly timer: PhaseTimer<StepPhase>,
  ) {
    const { plan, config } = options;
    this.embeddings = new GatheredEmbeddings({ engine, group }, plan, config.embed_dim);
    this.dImage_bD = engine.allocate('float32', plan.localBatch * config.embed_dim);
    this.dText_bD = engine.allocate('float32', plan.localBatch * config.embed_dim);
  }

  /** Compiles every program of a step. */
  static async create(
    deps: { engine: Engine; group: Group; state: TrainState },
    options: TrainStepOptions,
  ): Promise<TrainStep> {
    const { engine, group, state } = deps;
    const { config, plan, optimizer, seed } = options;
    const timer = new PhaseTimer<StepPhase>();
    const towers = await compileTowerPasses({ engine, group, state, timer }, options);
    const loss = await GlobalLoss.create(
      { engine, group },
      { loss: options.loss, plan, dimension: config.embed_dim, teacher: options.teacher },
    );
    const parameterUpdate = await compileUpdate(engine, state, { ...optimizer, seed });
    return new TrainStep(engine, group, state, options, towers, loss, parameterUpdate, timer);
  }

  /**
   * Step `step` (from 0) on this rank's rows of the global batch. Throws `loss_not_finite` before any weight has changed.
   */
  async run(own: StepBatch, learningRate: number, step: number, signal: AbortSignal): Promise<StepResult> {
    const { group, state, timer } = this;
    const { plan } = this.options;
    const batch = { ...own, position: step * plan.globalBatch + plan.rank * plan.localBatch };
    const prepared = await timer.time('encode', () => this.loss.prepare(batch, signal));
    await this.encodeAndGather(batch, signal);

    const cotangents = { dImage_bD: this.dImage_bD, dText_bD: this.dText_bD };
    const { loss, parts, accuracy, dLogitScale, dLogitBias } = await timer.time('loss', () =>
      this.loss.run(prepared, this.embeddings, state, cotangents, signal),
    );
    if (!Number.isFinite(loss)) throw notFinite('loss', loss, this.options.optimizer.lr, step);

    const scaled = this.options.compute === 'fp16';
    const scale = scaled ? await scaleGradient(Object.values(cotangents), group, { signal }) : 1;
    await this.towers.backward(batch, cotangents, signal);
    state.logitScaleGradient = scale * dLogitScale;
    state.logitBiasGradient = scale * dLogitBias;

    await timer.time('communicate', () => group.reduceScatter(state.gradients, state.sliceGradients, { signal }));
    const scaledNorm = await timer.time('communicate', () => gradientNorm(state.sliceGradients, group, { signal }));
    const norm = scaledNorm / scale;
    if (!Number.isFinite(norm)) throw notFinite('gradient norm', norm, this.options.optimizer.lr, step);

    await timer.time('communicate', () => state.statistics.update(group, signal));
    await timer.time('optimizer', () => this.update(learningRate, step, { norm, scale }));
    await timer.time('communicate', () => group.allGather(state.sliceParameters, state.parameters, { signal }));
    state.logitScale = Math.fround(Math.min(Math.max(state.logitScale, 0), Math.log(this.options.loss.maxLogitScale)));
    return { loss, accuracy, parts, gradientNorm: norm, gradientScale: scale };
  }

  async dispose(): Promise<void> {
    await this.towers.dispose();
    await this.loss.dispose();
    await this.parameterUpdate.dispose();
  }

  private async encodeAndGather(batch: PlacedBatch, signal: AbortSignal): Promise<void> {
    const { embeddings, timer } = this;
    const sink = {
      own: (micro: number) => embeddings.own(micro),
      send: (micro: number) => embeddings.send(micro, signal),
    };
    await this.towers.encode(batch, sink, signal);
    await timer.time('communicate', () => embeddings.arrived());
  }

  /** `norm`: of the gradient, which the state holds `scale` times as large. */
  private async update(
    learningRate: number,
    step: number,
    { norm, scale }: { norm: number; scale: number },
  ): Promise<void> {
    const { clipNorm } = this.options.optimizer;
    const gradScale = (clipNorm === null ? 1 : clipScale(norm, clipNorm)) / scale;
    await this.parameterUpdate.run({ lr: learningRate, step: step + 1, gradScale });
  }
}

function notFinite(what: string, value: number, peakRate: number, step: number): ClipyardError {
  return new ClipyardError(
    'loss_not_finite',
    `The ${what} of step ${step + 1} is ${value}; the weights of step ${step} are unchanged and the last checkpoint is good. Lower optimizer.lr, lengthen schedule.warmupSteps, or set optimizer.clipNorm (1.0 is usual).`,
    {
      fields: [
        {
          path: 'optimizer.lr',
          message: `the ${what} is ${value} at step ${step + 1}`,
          value: peakRate,
          remedy: 'Lower it, lengthen the warm-up, or clip gradients.',
        },
      ],
    },
  );
}
