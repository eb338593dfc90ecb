import { type ClipyardError, fieldError } from '@clipyard/contracts';
import type { Buffers } from '@clipyard/engine';
import { type GlobalNormPrograms, ownName } from './global-norm-programs.js';
import { type Cotangents, MicroBatches, type PlacedBatch } from './micro-batches.js';
import { NormAverages } from './norm-averages.js';
import type { StepPhase } from './phase-timer.js';
import type { EmbeddingSink, TowerPasses, TowerPassesDeps, TowerPassesOptions } from './tower-passes.js';
import { sumInputs } from './tower-programs.js';

/**
 * Batch norm over the global batch (SyncBatchNorm): every stage runs for all micro-batches, each with its tape, then their
 * statistics are averaged over all ranks, and the next one goes on from there. One exchange for each of the norms that follow
 * one another in the forward pass, and one in the backward pass.
 */
export class GlobalNormPasses implements TowerPasses {
  private readonly microBatches: MicroBatches;
  private readonly soFar: Buffers;
  private readonly statistics: NormAverages;
  private readonly cotangentMeans: NormAverages;
  /** By stage: the norms whose statistics it gives, those whose means of cotangents, and where all its outputs go. */
  private readonly given: readonly {
    readonly statistics: readonly string[];
    readonly means: readonly string[];
    readonly outputs: Buffers;
  }[];
  /** Below what is trained there are no cotangents, on any rank. */
  private readonly withCotangents: ReadonlySet<string>;

  constructor(
    private readonly deps: TowerPassesDeps,
    private readonly options: TowerPassesOptions,
    private readonly programs: GlobalNormPrograms,
  ) {
    const { engine, state } = deps;
    const { program, channels } = programs;
    this.microBatches = new MicroBatches(engine, state, options, true);
    this.soFar = this.microBatches.count > 1 ? sumInputs(state.gradientViews) : {};
    this.statistics = new NormAverages(engine, ['mean', 'variance'], channels);
    this.cotangentMeans = new NormAverages(engine, ['cotangent', 'product'], channels);
    this.given = program.stages.map(({ outputs }) => {
      const statistics = [...channels.keys()].filter((norm) => ownName('mean', norm) in outputs);
      const means = [...channels.keys()].filter((norm) => ownName('product', norm) in outputs);
      const gradients = Object.entries(state.gradientViews).filter(([name]) => name in outputs);
      return {
        statistics,
        means,
        outputs: {
          ...this.statistics.outputs(statistics),
          ...this.cotangentMeans.outputs(means),
          ...Object.fromEntries(gradients),
        },
      };
    });
    this.withCotangents = new Set(this.given.flatMap(({ means }) => means));
    for (const [norm, n] of programs.rows) if (n * this.count < 2) throw tooFewRows(norm);
  }

  async encode(batch: PlacedBatch, embeddings: EmbeddingSink, signal: AbortSignal): Promise<void> {
    const { forward } = this.programs;
    const { microBatches, statistics } = this;
    for (let stage = 0; stage <= forward.length; stage++) {
      if (stage > 0) await this.exchange(statistics, forward[stage - 1]!, signal);
      for (let micro = 0; micro < microBatches.count; micro++) {
        const last = stage === forward.length;
        await this.run('encode', stage, micro, () => ({
          inputs: stage === 0 ? microBatches.inputs(batch, micro) : statistics.inputs(forward[stage - 1]!),
          outputs: last ? { ...embeddings.own(micro) } : {},
        }));
        if (last) embeddings.send(micro);
      }
    }
    this.observe();
  }

  async backward(_batch: PlacedBatch, cotangents: Cotangents, signal: AbortSignal): Promise<void> {
    const { forward, backward } = this.programs;
    const { microBatches, cotangentMeans } = this;
    if (microBatches.count > 1) this.deps.state.gradients.fill(0);
    for (let stage = 0; stage <= backward.length; stage++) {
      const norms = backward[stage - 1] ?? [];
      const wanted = norms.filter((norm) => this.withCotangents.has(norm));
      await this.exchange(cotangentMeans, wanted, signal);
      for (let micro = 0; micro < microBatches.count; micro++)
        await this.run('backward', forward.length + 1 + stage, micro, () => ({
          inputs:
            stage === 0
              ? { ...this.soFar, ...microBatches.cotangents(cotangents, micro) }
              : cotangentMeans.inputs(norms),
          outputs: {},
        }));
    }
  }

  dispose(): Promise<void> {
    return this.programs.program.dispose();
  }

  private async run(
    phase: StepPhase,
    stage: number,
    micro: number,
    make: () => { readonly inputs: Buffers; readonly outputs: Buffers },
  ): Promise<void> {
    const given = this.given[stage]!;
    await this.deps.timer.time(phase, () => {
      const { inputs, outputs } = make();
      return this.programs.program.run(stage, inputs, { ...given.outputs, ...outputs }, micro);
    });
    this.statistics.add(given.statistics);
    this.cotangentMeans.add(given.means);
  }

  private async exchange(averages: NormAverages, norms: readonly string[], signal: AbortSignal): Promise<void> {
    const { group, timer } = this.deps;
    if (norms.length === 0) return;
    await timer.time('communicate', () => averages.exchange(norms, this.count, group, signal));
  }

  /** The running statistics take the unbiased variance, as in PyTorch. */
  private observe(): void {
    const { rows } = this.programs;
    for (const [norm, n] of rows) {
      const [mean, variance] = this.statistics.of(norm);
      const total = n * this.count;
      this.deps.state.statistics.set(`${norm}.running_mean`, mean);
      this.deps.state.statistics.set(
        `${norm}.running_var`,
        variance.map((v) => (v * total) / (total - 1)),
      );
    }
  }

  /** Micro-batches of all ranks. */
  private get count(): number {
    return this.microBatches.count * this.options.plan.worldSize;
  }
}

const tooFewRows = (norm: string): ClipyardError =>
  fieldError('spec_invalid', {
    path: 'batch.global',
    message: `leaves \`${norm}\` one row, which has no variance`,
    value: 1,
    remedy: 'Use a larger batch.',
  });
