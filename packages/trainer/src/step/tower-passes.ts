import assert from 'node:assert';
import type { Group } from '@clipyard/contracts';
import type { Buffers, ComputePrecision, Engine, Program, StagedProgram } from '@clipyard/engine';
import type { Embeddings } from './gathered-embeddings.js';
import { GlobalNormPasses } from './global-norm-passes.js';
import { compileGlobalNorms } from './global-norm-programs.js';
import { type Cotangents, MicroBatches, type MicroBatchOptions, type PlacedBatch } from './micro-batches.js';
import type { PhaseTimer, StepPhase } from './phase-timer.js';
import { compileBackward, compileEncoder, compileEncodeThenBackward, sumInputs } from './tower-programs.js';
import type { TrainState } from './train-state.js';

/** Where embeddings go. */
export interface EmbeddingSink {
  /** Where those [m,D] of a micro-batch are to be written. */
  own(micro: number): Embeddings;
  /** They have been. */
  send(micro: number): void;
}

/** The forward and the backward pass of both towers over a rank's micro-batches; on all ranks together. */
export interface TowerPasses {
  /** Writes the embeddings of every micro-batch, and notes the statistics of the step. */
  encode(batch: PlacedBatch, embeddings: EmbeddingSink, signal: AbortSignal): Promise<void>;
  /** Leaves the gradient of the towers' parameters over all micro-batches of the same batch in the state. */
  backward(batch: PlacedBatch, cotangents: Cotangents, signal: AbortSignal): Promise<void>;
  dispose(): Promise<void>;
}

export interface TowerPassesDeps {
  readonly engine: Engine;
  readonly group: Group;
  readonly state: TrainState;
  readonly timer: PhaseTimer<StepPhase>;
}

export interface TowerPassesOptions extends MicroBatchOptions {
  readonly compute: ComputePrecision;
  /** Default: what is within the blocks is kept for the backward pass. */
  readonly checkpointBlocks?: boolean | undefined;
  /** What batch norm takes its statistics over in training: a micro-batch or the global batch. Default local. */
  readonly batchNorm?: 'local' | 'global' | undefined;
}

/** Compiles what the plan asks for. */
export async function compileTowerPasses(deps: TowerPassesDeps, options: TowerPassesOptions): Promise<TowerPasses> {
  const { engine, state } = deps;
  const { config, plan, compute, checkpointBlocks } = options;
  const programOptions = { config, parameters: state.specs, samples: plan.microBatch, compute, checkpointBlocks };
  if (options.batchNorm === 'global') {
    assert(plan.keepsTapes, 'statistics of the global batch take tapes');
    const programs = await compileGlobalNorms(engine, programOptions, plan.microBatches);
    return new GlobalNormPasses(deps, options, programs);
  }
  if (plan.keepsTapes) {
    const program = await compileEncodeThenBackward(engine, programOptions, plan.microBatches);
    return new KeptTapes(deps, options, program);
  }
  const encoder = await compileEncoder(engine, programOptions);
  const backward = await compileBackward(engine, programOptions);
  return new EncodedTwice(deps, options, encoder, backward);
}

/** Keeps what the backward pass needs of every micro-batch: each is encoded once. */
class KeptTapes implements TowerPasses {
  private readonly microBatches: MicroBatches;
  private readonly soFar: Buffers;

  constructor(
    private readonly deps: TowerPassesDeps,
    options: TowerPassesOptions,
    private readonly program: StagedProgram,
  ) {
    const { engine, state } = deps;
    this.microBatches = new MicroBatches(engine, state, options, true);
    this.soFar = this.microBatches.count > 1 ? sumInputs(state.gradientViews) : {};
  }

  async encode(batch: PlacedBatch, embeddings: EmbeddingSink): Promise<void> {
    const { state, timer } = this.deps;
    for (let micro = 0; micro < this.microBatches.count; micro++) {
      const results = await timer.time('encode', () =>
        this.program.run(0, this.microBatches.inputs(batch, micro), { ...embeddings.own(micro) }, micro),
      );
      state.statistics.observe(results);
      embeddings.send(micro);
    }
  }

  async backward(_batch: PlacedBatch, cotangents: Cotangents): Promise<void> {
    const { state, timer } = this.deps;
    const { microBatches } = this;
    if (microBatches.count > 1) state.gradients.fill(0);
    for (let micro = 0; micro < microBatches.count; micro++) {
      const late = { ...this.soFar, ...microBatches.cotangents(cotangents, micro) };
      await timer.time('backward', () => this.program.run(1, late, state.gradientViews, micro));
    }
  }

  dispose(): Promise<void> {
    return this.program.dispose();
  }
}

/** Keeps nothing, and encodes every micro-batch again for the backward pass. */
class EncodedTwice implements TowerPasses {
  private readonly microBatches: MicroBatches;

  constructor(
    private readonly deps: TowerPassesDeps,
    options: TowerPassesOptions,
    private readonly encoder: Program,
    private readonly program: Program,
  ) {
    this.microBatches = new MicroBatches(deps.engine, deps.state, options, false);
  }

  async encode(batch: PlacedBatch, embeddings: EmbeddingSink): Promise<void> {
    const { state, timer } = this.deps;
    for (let micro = 0; micro < this.microBatches.count; micro++) {
      const results = await timer.time('encode', () =>
        this.encoder.run(this.microBatches.inputs(batch, micro), { ...embeddings.own(micro) }),
      );
      state.statistics.observe(results);
      embeddings.send(micro);
    }
  }

  async backward(batch: PlacedBatch, cotangents: Cotangents): Promise<void> {
    const { state, timer } = this.deps;
    const { microBatches } = this;
    state.gradients.fill(0);
    const soFar = sumInputs(state.gradientViews);
    for (let micro = 0; micro < microBatches.count; micro++) {
      await timer.time('backward', () => {
        const cotangents_m = microBatches.cotangents(cotangents, micro);
        return this.program.run(
          { ...soFar, ...microBatches.inputs(batch, micro), ...cotangents_m },
          state.gradientViews,
        );
      });
    }
  }

  async dispose(): Promise<void> {
    await this.encoder.dispose();
    await this.program.dispose();
  }
}
