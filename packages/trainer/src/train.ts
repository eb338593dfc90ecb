import { ClipyardError, type RankStart, type RunSpec } from '@clipyard/contracts';
import { parameterCount } from '@clipyard/model';
import { learningRate } from '@clipyard/optim';
import { restoreNewest } from './checkpoint/checkpoint-reader.js';
import { CheckpointWriter, checkpointPrefix } from './checkpoint/checkpoint-writer.js';
import { BatchHealth, type StepRemains } from './health/batch-health.js';
import { startFrom } from './interchange/initial-weights.js';
import { openRun, type RunParts } from './open-run.js';
import { stepsOf } from './step/run-plan.js';
import { StepMeter } from './step/step-meter.js';
import { TensorBoardLog } from './tensorboard/tensorboard-log.js';
import type { TrainDeps } from './train-deps.js';

export interface TrainOptions {
  readonly start: RankStart;
  /** Aborted: stop after the step at hand, on all ranks together. */
  readonly signal: AbortSignal;
  /** Aborted: the same, with a checkpoint of that step. Default: never. */
  readonly save?: AbortSignal;
}

/**
 * The whole life of one rank: opens the data, restores the newest checkpoint, trains to the end, evaluates and saves.
 * Every rank of the attempt calls it at once. `finished` is false when a signal stopped it, or it was to pause.
 */
export async function train(deps: TrainDeps, options: TrainOptions): Promise<{ finished: boolean }> {
  const run = new Run(deps, options.start, await openRun(deps, options.start));
  try {
    return { finished: await run.train(options.signal, options.save ?? NEVER) };
  } finally {
    await run.close();
  }
}

type StepValues = Readonly<Record<string, number>>;

/** Cuts nothing short: collectives end when a link closes, and `stop` is agreed on between steps. */
const NEVER = new AbortController().signal;

/** What a rank asks the others for between two steps; of several the last holds. */
const GO_ON = 0;
const STOP = 1;
const SAVE_AND_STOP = 2;

class Run {
  private readonly spec: RunSpec;
  private readonly writer: CheckpointWriter;
  private readonly meter: StepMeter;
  private readonly health: BatchHealth;
  /** Of rank 0, once it is known where the attempt begins. */
  private board: TensorBoardLog | undefined;
  /** The run ends after this step, though it is not finished. */
  private readonly pauseStep: number | null;
  /** Unusable samples that this rank has met. */
  private badSamples = 0;
  /** Newest metrics of training and evaluation, for the retention of checkpoints. */
  private readonly latest: Record<string, number> = {};

  constructor(
    private readonly deps: TrainDeps,
    private readonly start: RankStart,
    private readonly parts: RunParts,
  ) {
    this.spec = start.spec;
    const { config, tokenizer, modelHash, stepper, plan, trainData } = parts;
    const { pauseAt } = start;
    this.pauseStep = pauseAt === undefined ? null : stepsOf(pauseAt, plan.globalBatch, trainData.size);
    this.writer = new CheckpointWriter(deps, {
      jobId: start.jobId,
      seed: start.spec.seed,
      modelHash,
      config,
      tokenizer: tokenizer.serialize(),
    });
    this.meter = new StepMeter(stepper.timer, plan.globalBatch);
    this.health = new BatchHealth(
      { group: deps.group, state: parts.state },
      { plan, dimension: config.embed_dim, maxLogitScale: start.spec.loss.maxLogitScale },
    );
  }

  async train(stop: AbortSignal, save: AbortSignal): Promise<boolean> {
    const { report, group } = this.deps;
    const { plan, state, trainData, specs } = this.parts;
    const startStep = await this.restore();
    if (group.rank === 0) {
      await this.removeOrphans(startStep);
      const { jobId, epoch } = this.start;
      this.board = new TensorBoardLog(this.deps, { jobId, epoch, startStep });
    }
    const parameters = parameterCount(specs);
    report({
      type: 'plan',
      totalSteps: plan.totalSteps,
      startStep,
      pauseStep: this.pauseStep,
      parameters,
      trainSamples: trainData.size,
      engine: this.deps.engine.name,
    });
    report({ type: 'state', state: 'training' });
    // The checkpoint there was the last thing that an attempt did, or one too many.
    if (this.pauseStep !== null && startStep >= this.pauseStep && startStep < plan.totalSteps) return false;
    this.meter.start();
    for (let step = startStep; step < plan.totalSteps; step++) {
      let values: StepValues;
      try {
        values = await this.step(step);
      } catch (error) {
        // Every rank sees the same loss, so all are here: the checkpoint at hand is from before, and good.
        if (error instanceof ClipyardError && error.code === 'loss_not_finite') await this.writer.drain(NEVER);
        throw error;
      }
      const finished = step + 1;
      if (await this.betweenSteps(finished, values, { stop, save })) return false;
    }
    if (startStep >= plan.totalSteps) await this.evaluate(plan.totalSteps, true);
    state.gradients.fill(0);
    await this.writer.drain(NEVER);
    await group.barrier({ signal: NEVER });
    return true;
  }

  async close(): Promise<void> {
    const { loader, trainData, evalData, evaluator } = this.parts;
    await this.writer.abandon();
    await this.board?.close();
    await evaluator?.dispose();
    await loader.close();
    await trainData.close();
    await evalData?.close();
  }

  private async step(step: number): Promise<StepValues> {
    const { plan, stepper, loader, state } = this.parts;
    const { spec, meter } = this;
    const lr = learningRate(spec.schedule, spec.optimizer.lr, step, plan.totalSteps);
    const batch = await meter.waitForData(() => loader.loadPixels(step));
    const { logitScale } = state;
    const result = await stepper.run(batch, lr, step, NEVER);
    const { gradientScale } = result;
    const health = this.measures(step + 1)
      ? await this.measureHealth({ embeddings: stepper.embeddings.all, batch, logitScale, gradientScale })
      : {};
    this.badSamples = batch.badSamples;
    meter.count();
    const values = {
      loss: result.loss,
      'batch/accuracy': result.accuracy,
      grad_norm: result.gradientNorm,
      logit_scale: Math.exp(state.logitScale),
      ...(spec.loss.type === 'siglip' ? { logit_bias: state.logitBias } : {}),
      ...(result.parts && {
        'loss/contrastive': result.parts.contrastive,
        'loss/distillation': result.parts.distillation,
      }),
      lr,
    };
    Object.assign(this.latest, values);
    return { ...values, ...health };
  }

  private measures(finished: number): boolean {
    const { everySteps } = this.spec.health;
    return everySteps !== null && finished % everySteps === 0;
  }

  private async measureHealth(remains: StepRemains): Promise<StepValues> {
    const begin = performance.now();
    const values = await this.health.measure(remains, NEVER);
    return { ...values, 'time/health_ms': performance.now() - begin };
  }

  /** What rank 0 tells of a step for all, and each rank of itself. */
  private tell(finished: number, values: StepValues, badSamples: number): void {
    const { plan } = this.parts;
    const told = finished === plan.totalSteps || finished === this.pauseStep || this.measures(finished);
    if (!this.meter.due(told)) return;
    const speed = this.meter.take();
    const own = {
      'rank/rss_mib': process.resourceUsage().maxRSS / 1024,
      'rank/data_ms': speed['time/data_ms'] ?? 0,
      'rank/communicate_ms': speed['time/communicate_ms'] ?? 0,
    };
    const all = plan.rank === 0 ? { ...values, ...speed, ...own, 'data/bad_samples': badSamples } : own;
    const at = Date.now();
    this.deps.report({ type: 'metrics', step: finished, at, values: all });
    this.board?.add({ at, step: finished, values: all });
  }

  /** What ranks do together between two steps. True when they agreed to stop. */
  private async betweenSteps(
    finished: number,
    values: StepValues,
    { stop, save }: { stop: AbortSignal; save: AbortSignal },
  ): Promise<boolean> {
    const { plan } = this.parts;
    const { checkpoint, evaluate } = this.spec;
    const last = finished === plan.totalSteps;
    const pausing = finished === this.pauseStep;
    // One exchange for all: each rank's count of bad samples has a place of its own, where the others put 0.
    const flags = new Int32Array(2 + plan.worldSize);
    flags.set([save.aborted ? SAVE_AND_STOP : stop.aborted ? STOP : GO_ON, this.writer.writing ? 1 : 0]);
    flags[2 + plan.rank] = this.badSamples;
    await this.deps.group.allReduce(flags, 'max', { signal: NEVER });
    const saving = flags[0] === SAVE_AND_STOP || pausing;
    const stopping = flags[0] !== GO_ON || pausing;
    const badSamples = flags.subarray(2).reduce((total, count) => total + count, 0);
    this.tell(finished, values, badSamples);
    if (this.writer.pending && (flags[1] === 0 || stopping || last)) await this.writer.complete(NEVER);
    const evaluating = last || (evaluate.everySteps !== null && finished % evaluate.everySteps === 0);
    if (evaluating || pausing) await this.evaluate(finished, last);
    // Of its checkpoints the control plane knows which are to be evaluated by others.
    const handing = evaluating && evaluate.mode === 'separate' && evaluate.tasks.length > 0;
    if (last || saving || handing || finished % checkpoint.everySteps === 0) {
      if (this.writer.pending) await this.writer.complete(NEVER);
      const { state, averaged } = this.parts;
      await averaged?.gather(this.deps.group, { signal: NEVER });
      const position = finished * plan.globalBatch;
      this.board?.flush();
      this.writer.begin(state, averaged, { step: finished, position, metrics: { ...this.latest } });
    }
    if (!stopping || last) return false;
    if (saving) {
      // It goes on from there, so that checkpoint must be whole.
      await this.writer.drain(NEVER);
    } else {
      if (this.writer.pending) await this.writer.complete(NEVER);
      await this.writer.settled();
    }
    await this.deps.group.barrier({ signal: NEVER });
    return true;
  }

  private async evaluate(step: number, final: boolean): Promise<void> {
    const { evaluator, averaged } = this.parts;
    if (evaluator === undefined) return;
    await averaged?.gather(this.deps.group, { signal: NEVER });
    const { report, group } = this.deps;
    report({ type: 'state', state: 'evaluating' });
    const { values, results, samples } = await this.meter.pause(() => evaluator.run(final, NEVER));
    Object.assign(this.latest, values);
    if (group.rank === 0) report({ type: 'evaluation', step, final, values, results, samples });
    this.board?.add({ at: Date.now(), step, values });
    report({ type: 'state', state: 'training' });
  }

  /** Returns the number of finished steps: those of the newest whole checkpoint, or 0 with the weights to start from. */
  private async restore(): Promise<number> {
    const { state, modelHash } = this.parts;
    const { checkpoints } = this.start;
    const { log } = this.deps;
    if (checkpoints.length === 0) return await this.begin();
    state.initialize(this.spec.seed);
    const saved = await restoreNewest(this.deps, checkpoints, state, modelHash, NEVER);
    if (saved !== undefined) {
      log('info', `Resuming from the checkpoint of step ${saved.step}`, {
        step: saved.step,
        worldSize: saved.worldSize,
      });
      return saved.step;
    }
    log('error', 'No checkpoint is whole; starting again from step 0', {
      checkpoints: checkpoints.map(({ step }) => step),
    });
    return await this.begin();
  }

  /** Step 0: initial weights, or those that `model.init` names. */
  private async begin(): Promise<number> {
    const { state, config, openSource } = this.parts;
    state.initialize(this.spec.seed);
    const source = await openSource();
    if (source === undefined) return 0;
    await startFrom(source, this.deps, state, config, NEVER);
    state.startFromWeights(this.spec.seed);
    await source.close();
    this.deps.log('info', `Starting from the weights of ${source.where}`);
    return 0;
  }

  /** Removes what an attempt that died left half-written: directories of steps that nobody tracks. */
  private async removeOrphans(startStep: number): Promise<void> {
    const { store, log } = this.deps;
    const { jobId, checkpoints } = this.start;
    const tracked = new Set(checkpoints.map(({ prefix }) => prefix));
    const orphans = new Set<string>();
    for await (const { key } of store.list(`runs/${jobId}/`)) {
      const prefix = key.split('/').slice(0, 3).join('/');
      if (prefix.startsWith(checkpointPrefix(jobId, 0).slice(0, -1)) && !tracked.has(prefix)) orphans.add(prefix);
    }
    for (const prefix of orphans) {
      log('info', `Removing the incomplete checkpoint ${prefix}`, { startStep });
      await store.delete(`${prefix}/`);
    }
  }
}
