import {
  type Duration,
  isFinalJobState,
  type JobState,
  type RunSpec,
  type SweepSpec,
  type TrialState,
} from '@clipyard/contracts';
import type { JobRow, Repositories, SweepRow, TrialRow } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import { reachedPause } from '../attempt-end.js';
import { cancelJob } from '../cancel-job.js';
import { createJob } from '../create-job.js';
import { pauseJob, resumeJob } from '../pause.js';
import { measure } from './measure.js';
import { bestTrial, nextPromotion } from './promotion.js';
import { rungBudgets } from './rungs.js';
import { standingOf } from './standing.js';
import { moveSweep, moveTrial } from './sweep-transitions.js';

/** Jobs of one sweep that are cancelled in one round, so that its transaction stays short. */
const CANCELLED_AT_ONCE = 50;

/**
 * Does what there is to do for a sweep, in one transaction under the lock of its row: takes the results of trials that
 * have come to the end of a rung or of their job, then stops, promotes and starts trials. It decides from what is stored
 * only, so a scheduler may end at any time and another goes on. Returns what it did, for the log.
 */
export async function advanceSweep(tx: Repositories, sweepId: string): Promise<readonly string[]> {
  const row = await tx.sweeps.lock(sweepId);
  if (row === null) return [];
  const round = new Round(tx, row, await tx.sweeps.trials(sweepId));
  await round.run();
  return round.done;
}

class Round {
  readonly done: string[] = [];
  readonly #spec: SweepSpec;
  readonly #rungs: readonly Duration[];
  readonly #trials: TrialRow[];

  constructor(
    private readonly tx: Repositories,
    private readonly sweep: SweepRow,
    trials: readonly TrialRow[],
  ) {
    this.#spec = sweep.spec as unknown as SweepSpec;
    // Searched durations come without halving, so one rung whatever it is; else the same for all.
    this.#rungs = rungBudgets((this.#spec.base as unknown as RunSpec).duration, this.#spec.halving);
    this.#trials = [...trials];
  }

  async run(): Promise<void> {
    for (const trial of this.#in('running', 'held', 'resting')) await this.#settle(trial);
    switch (this.sweep.state) {
      case 'running':
        await this.#release();
        await this.#fill();
        if (this.#in('running', 'held', 'waiting').length === 0) await this.#finish();
        return;
      case 'paused':
        for (const trial of this.#in('running')) await this.#hold(trial);
        return;
      default:
        await this.#cancelOpen('cancelled', `sweep ${this.sweep.id} was cancelled`);
    }
  }

  #in(...states: TrialState[]): TrialRow[] {
    return this.#trials.filter(({ state }) => states.includes(state as TrialState));
  }

  async #move(trial: TrialRow, to: TrialState, changes: Parameters<typeof moveTrial>[3] = {}): Promise<void> {
    this.#trials[trial.index] = await moveTrial(this.tx, trial, to, changes);
    this.done.push(`trial ${trial.index}: ${to}${changes.reason ? ` (${changes.reason})` : ''}`);
  }

  /** Takes the result of a trial whose job has ended or has come to the end of its rung. */
  async #settle(trial: TrialRow): Promise<void> {
    const state = trial.job!.state as JobState;
    if (state === 'succeeded') return await this.#judge(trial, this.#rungs.length - 1);
    if (state === 'failed') return await this.#move(trial, 'failed', { reason: trial.job!.reason ?? 'its job failed' });
    if (state === 'cancelled') return await this.#move(trial, 'cancelled', { reason: 'its job was cancelled' });
    if (trial.state === 'resting') {
      // Resumed by hand: it goes on to its end.
      if (state !== 'paused')
        await this.#move(trial, 'running', { rung: this.#rungs.length - 1, reason: 'resumed by hand' });
    } else if (state === 'paused' && (await reachedPause(this.tx, await this.#lockJob(trial)))) {
      await this.#judge(trial, trial.rung);
    }
  }

  async #judge(trial: TrialRow, rung: number): Promise<void> {
    const job = await this.#lockJob(trial);
    const { result, broken, missing } = await measure(this.tx, job, {
      sweep: this.#spec,
      rung,
      before: standingOf(trial).results,
    });
    if (result === undefined) {
      await this.#move(trial, 'failed', { reason: `its job reported no ${missing}` });
      await this.#cancelJob(job, `the trial has no ${missing}`);
      return;
    }
    const results = [...standingOf(trial).results, result];
    const changes = { results, rung: rung + 1 };
    if (broken !== undefined) {
      await this.#move(trial, 'infeasible', { ...changes, reason: `broke ${broken}` });
      await this.#cancelJob(job, `the trial broke ${broken}`);
    } else if (rung === this.#rungs.length - 1) await this.#move(trial, 'succeeded', { ...changes, reason: null });
    else await this.#move(trial, 'resting', { ...changes, reason: null });
  }

  /** Pauses the job of a trial together with the sweep; one that is paused or pausing already stays so. */
  async #hold(trial: TrialRow): Promise<void> {
    const job = await this.#lockJob(trial);
    if (isFinalJobState(job.state as JobState)) return;
    if (job.state !== 'paused' && job.state !== 'pausing')
      await pauseJob(this.tx, job, `paused with sweep ${this.sweep.id}`);
    await this.#move(trial, 'held');
  }

  /** Lets go on what was held while the sweep was paused, once its ranks have stopped. */
  async #release(): Promise<void> {
    for (const trial of this.#in('held')) {
      const job = await this.#lockJob(trial);
      if (job.state === 'pausing') continue;
      if (job.state === 'paused') await resumeJob(this.tx, job, { reason: `resumed with sweep ${this.sweep.id}` });
      await this.#move(trial, 'running');
    }
  }

  /** Promotes and starts trials while fewer run than may. */
  async #fill(): Promise<void> {
    while (this.#in('running', 'held').length < this.#spec.maxConcurrent) {
      const promoted = this.#promotion();
      if (promoted !== undefined) {
        await this.#promote(promoted);
        continue;
      }
      const [next] = this.#in('waiting');
      if (next === undefined) return;
      await this.#start(next);
    }
  }

  #promotion(): TrialRow | undefined {
    const { halving, objective } = this.#spec;
    if (halving === null) return undefined;
    const rules = { goal: objective.goal, eta: halving.eta, rungs: this.#rungs.length };
    const found = nextPromotion(this.#trials.map(standingOf), rules);
    return found === undefined ? undefined : this.#trials[found.index];
  }

  /** The pause at the end of a rung; the last is the end of the job. */
  #pauseAt(rung: number): { pauseAt?: Duration } {
    return rung === this.#rungs.length - 1 ? {} : { pauseAt: this.#rungs[rung]! };
  }

  async #start(trial: TrialRow): Promise<void> {
    const id = newId('job');
    const spec = await this.tx.sweeps.trialSpec(this.sweep.id, trial.index);
    await createJob(this.tx, id, spec, { project: this.sweep.project, ...this.#pauseAt(0) });
    await this.#move(trial, 'running', { jobId: id });
  }

  async #promote(trial: TrialRow): Promise<void> {
    const job = await this.#lockJob(trial);
    const reason = `promoted to rung ${trial.rung + 1} of ${this.#rungs.length} by sweep ${this.sweep.id}`;
    // Since the trials were read it may have been resumed or cancelled by hand: the next round sees that.
    if (job.state === 'paused') await resumeJob(this.tx, job, { reason, ...this.#pauseAt(trial.rung) });
    await this.#move(trial, 'running');
  }

  /** Nothing runs and nothing may be promoted. With halving the best goes on to the whole budget, unless one has had it. */
  async #finish(): Promise<void> {
    const best = bestTrial(this.#trials.map(standingOf), this.#spec.objective.goal);
    const row = best === undefined ? undefined : this.#trials[best.index]!;
    if (row?.state === 'resting') {
      await this.#promote(row);
      return;
    }
    await this.#cancelOpen('stopped', `stopped early by sweep ${this.sweep.id}`);
    if (this.#in('resting').length > 0) return;
    const finishedAt = new Date();
    if (row !== undefined) await moveSweep(this.tx, this.sweep, 'succeeded', { finishedAt });
    else await moveSweep(this.tx, this.sweep, 'failed', { finishedAt, reason: 'no trial came to a result' });
    this.done.push(row === undefined ? 'failed' : 'succeeded');
  }

  async #cancelOpen(to: 'stopped' | 'cancelled', reason: string): Promise<void> {
    const open = this.#in('waiting', 'running', 'held', 'resting');
    let left = CANCELLED_AT_ONCE;
    for (const trial of open) {
      if (trial.jobId !== null) {
        if (left-- === 0) return;
        await this.#cancelJob(await this.#lockJob(trial), reason);
      }
      await this.#move(trial, to, { reason });
    }
  }

  async #cancelJob(job: JobRow, reason: string): Promise<void> {
    if (isFinalJobState(job.state as JobState)) return;
    await cancelJob(this.tx, job, reason);
  }

  async #lockJob(trial: TrialRow): Promise<JobRow> {
    return (await this.tx.jobs.lock(trial.jobId!))!;
  }
}
