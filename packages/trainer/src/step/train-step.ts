import { ClipyardError, type Group, type RunSpec } from '@clipyard/contracts';
import type { ComputePrecision, Engine } from '@clipyard/engine';
import { type ContrastiveLoss, compileContrastiveLoss } from '@clipyard/loss';
import type { ModelConfig } from '@clipyard/model';
import { clipScale, gradientNorm } from '@clipyard/optim';
import { scaleGradient } from './gradient-scale.js';
import { compileUpdate, type ParameterUpdate } from './parameter-update.js';
import { PhaseTimer } from './phase-timer.js';
import type { RunPlan } from './run-plan.js';
import { compileTowerPasses, type PlacedBatch, type StepBatch, type TowerPasses } from './tower-passes.js';
import type { TrainState } from './train-state.js';

/**
 * One training step on W ranks, by one path for W = 1 and W = n. Legend: B global batch, b = B/W rows of this rank,
 * m micro-batch, D embedding dimension.
 */
export interface StepResult {
  /** Of the global batch, the same on every rank. */
  readonly loss: number;
  readonly accuracy: number;
  /** Global norm of the gradient before clipping. */
  readonly gradientNorm: number;
}

export type StepPhase = 'encode' | 'communicate' | 'loss' | 'backward' | 'optimizer';

export interface TrainStepOptions {
  readonly config: ModelConfig;
  readonly plan: RunPlan;
  readonly optimizer: Omit<RunSpec['optimizer'], 'layerDecay' | 'momentDtype'>;
  readonly maxLogitScale: number;
  /** What the towers round the operands of products to. */
  readonly compute: ComputePrecision;
  /** Of the run, for rounding and patch dropout. */
  readonly seed: number;
}

export class TrainStep {
  readonly timer = new PhaseTimer<StepPhase>();
  private readonly imageEmb_BD: Float32Array;
  private readonly textEmb_BD: Float32Array;
  private readonly dImage_bD: Float32Array;
  private readonly dText_bD: Float32Array;

  private constructor(
    private readonly engine: Engine,
    private readonly group: Group,
    private readonly state: TrainState,
    private readonly options: TrainStepOptions,
    private readonly towers: TowerPasses,
    private readonly loss: ContrastiveLoss,
    private readonly parameterUpdate: ParameterUpdate,
  ) {
    const { plan, config } = options;
    const allocate = (rows: number): Float32Array => this.engine.allocate('float32', rows * config.embed_dim);
    this.imageEmb_BD = allocate(plan.globalBatch);
    this.textEmb_BD = allocate(plan.globalBatch);
    this.dImage_bD = allocate(plan.localBatch);
    this.dText_bD = allocate(plan.localBatch);
  }

  /** Compiles every program of a step. */
  static async create(
    deps: { engine: Engine; group: Group; state: TrainState },
    options: TrainStepOptions,
  ): Promise<TrainStep> {
    const { engine, group, state } = deps;
    const { config, plan, compute, optimizer, seed } = options;
    const towers = await compileTowerPasses(engine, state, { config, plan, compute, seed });
    const loss = await compileContrastiveLoss(engine, {
      localRows: plan.localBatch,
      globalRows: plan.globalBatch,
      dimension: config.embed_dim,
    });
    const parameterUpdate = await compileUpdate(engine, state, { ...optimizer, seed });
    return new TrainStep(engine, group, state, options, towers, loss, parameterUpdate);
  }

  /**
   * Step `step` (from 0) on this rank's rows of the global batch. Throws `loss_not_finite` before any weight has changed.
   */
  async run(own: StepBatch, learningRate: number, step: number, signal: AbortSignal): Promise<StepResult> {
    const { group, state, timer } = this;
    const { plan } = this.options;
    const batch = { ...own, position: step * plan.globalBatch + plan.rank * plan.localBatch };
    await this.encodeAndGather(batch, signal);

    const { loss, dLogitScale, accuracy } = await timer.time('loss', () =>
      this.loss.run(
        { imageEmb_BD: this.imageEmb_BD, textEmb_BD: this.textEmb_BD, logitScale: state.logitScale, group, signal },
        { dImage_bD: this.dImage_bD, dText_bD: this.dText_bD },
      ),
    );
    if (!Number.isFinite(loss)) throw notFinite('loss', loss, this.options.optimizer.lr, step);

    const cotangents = { dImage_bD: this.dImage_bD, dText_bD: this.dText_bD };
    const scaled = this.options.compute === 'fp16';
    const scale = scaled ? await scaleGradient(Object.values(cotangents), group, { signal }) : 1;
    await timer.time('backward', () => this.towers.backward(batch, cotangents));
    state.logitScaleGradient = scale * dLogitScale;

    await timer.time('communicate', () => group.reduceScatter(state.gradients, state.sliceGradients, { signal }));
    const scaledNorm = await timer.time('communicate', () => gradientNorm(state.sliceGradients, group, { signal }));
    const norm = scaledNorm / scale;
    if (!Number.isFinite(norm)) throw notFinite('gradient norm', norm, this.options.optimizer.lr, step);

    await timer.time('optimizer', () => this.update(learningRate, step, { norm, scale }));
    await timer.time('communicate', () => group.allGather(state.sliceParameters, state.parameters, { signal }));
    state.logitScale = Math.fround(Math.min(Math.max(state.logitScale, 0), Math.log(this.options.maxLogitScale)));
    return { loss, accuracy, gradientNorm: norm };
  }

  async dispose(): Promise<void> {
    await this.towers.dispose();
    await this.loss.dispose();
    await this.parameterUpdate.dispose();
  }

  /** Fills the gathered embeddings; a micro-batch's embeddings travel while the next one is encoded. */
  private async encodeAndGather(batch: PlacedBatch, signal: AbortSignal): Promise<void> {
    const { plan, config } = this.options;
    const dimension = config.embed_dim;
    const own = (emb_BD: Float32Array, row: number, count: number): Float32Array => {
      const first = (plan.rank * plan.localBatch + row) * dimension;
      return emb_BD.subarray(first, first + count * dimension);
    };
    const gathers: Promise<void>[] = [];
    for (let micro = 0; micro < plan.microBatches; micro++) {
      const row = micro * plan.microBatch;
      const image = own(this.imageEmb_BD, row, plan.microBatch);
      const text = own(this.textEmb_BD, row, plan.microBatch);
      await this.timer.time('encode', () => this.towers.encode(batch, micro, { image, text }));
      if (plan.worldSize > 1) {
        gathers.push(
          this.gather(image, this.imageEmb_BD, row, signal),
          this.gather(text, this.textEmb_BD, row, signal),
        );
        // Marked as handled: a failure is thrown below, after this micro-batch's turn.
        for (const gather of gathers) gather.catch(() => {});
      }
    }
    await this.timer.time('communicate', () => Promise.all(gathers));
  }

  /** Brings the same rows of every rank into the gathered embeddings. */
  private async gather(own_mD: Float32Array, emb_BD: Float32Array, row: number, signal: AbortSignal): Promise<void> {
    const { plan, config } = this.options;
    const gathered = new Float32Array(plan.worldSize * own_mD.length);
    await this.group.allGather(own_mD, gathered, { signal });
    for (let rank = 0; rank < plan.worldSize; rank++) {
      if (rank === plan.rank) continue;
      const first = (rank * plan.localBatch + row) * config.embed_dim;
      emb_BD.set(gathered.subarray(rank * own_mD.length, (rank + 1) * own_mD.length), first);
    }
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
