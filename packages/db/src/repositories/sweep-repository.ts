import {
  type RunSpec,
  type SweepSpec,
  type SweepState,
  TRIAL_OPEN_STATES,
  type TrialResult,
  type TrialState,
} from '@clipyard/contracts';
import type { Prisma, Sweep as SweepRow } from '../generated/client.js';
import { type Client, json, storableText, type TimeCursor } from './client.js';

export type { SweepRow };

/** Of the job of a trial what its sweep looks at. */
const JOB_FIELDS = {
  id: true,
  state: true,
  reason: true,
  error: true,
  step: true,
  totalSteps: true,
  latest: true,
} as const;
/** All but the run spec, which is read when its job is made. */
const TRIAL_FIELDS = {
  sweepId: true,
  index: true,
  state: true,
  reason: true,
  values: true,
  jobId: true,
  rung: true,
  results: true,
  job: { select: JOB_FIELDS },
} as const;
export type TrialRow = Prisma.TrialGetPayload<{ select: typeof TRIAL_FIELDS }>;

export interface NewTrial {
  readonly values: Readonly<Record<string, unknown>>;
  readonly spec: RunSpec;
}

export interface TrialChanges {
  readonly state?: TrialState;
  readonly reason?: string | null;
  readonly jobId?: string;
  readonly rung?: number;
  readonly results?: readonly TrialResult[];
}

/** Sweeps with their trials. */
export class SweepRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async create(id: string, project: string, spec: SweepSpec, trials: readonly NewTrial[]): Promise<SweepRow> {
    const row = await this.#client.sweep.create({
      data: { id, project, name: spec.name, state: 'running', spec: json(spec) },
    });
    await this.#client.trial.createMany({
      data: trials.map((trial, index) => ({
        sweepId: id,
        index,
        state: 'waiting',
        values: json(trial.values),
        spec: json(trial.spec),
      })),
    });
    return row;
  }

  async find(id: string): Promise<SweepRow | null> {
    return await this.#client.sweep.findUnique({ where: { id } });
  }

  /** Locks the row until the transaction ends. Every change of a sweep and its trials happens under this lock, which is taken before those of its jobs. */
  async lock(id: string): Promise<SweepRow | null> {
    const locked = await this.#client.$queryRaw<unknown[]>`SELECT 1 FROM sweep WHERE id = ${id} FOR NO KEY UPDATE`;
    return locked.length === 0 ? null : await this.find(id);
  }

  /** Newest first. */
  async list(query: { project?: string; state?: SweepState; after?: TimeCursor; limit: number }): Promise<SweepRow[]> {
    const { project, state, after, limit } = query;
    const older: Prisma.SweepWhereInput =
      after === undefined
        ? {}
        : { OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }] };
    return await this.#client.sweep.findMany({
      where: {
        ...(project === undefined ? {} : { project }),
        ...(state === undefined ? {} : { state }),
        ...older,
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit,
    });
  }

  /** Those for which there may be something to do: they run, or have trials that have not ended. Oldest first. */
  async open(): Promise<string[]> {
    const rows = await this.#client.sweep.findMany({
      where: { OR: [{ state: 'running' }, { trials: { some: { state: { in: [...TRIAL_OPEN_STATES] } } } }] },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
      select: { id: true },
    });
    return rows.map(({ id }) => id);
  }

  async update(
    id: string,
    changes: { state?: SweepState; reason?: string | null; finishedAt?: Date },
  ): Promise<SweepRow> {
    const { reason, ...rest } = changes;
    return await this.#client.sweep.update({
      where: { id },
      data: { ...rest, ...(reason === undefined ? {} : { reason: reason === null ? null : storableText(reason) }) },
    });
  }

  /** By index. */
  async trials(sweepId: string): Promise<TrialRow[]> {
    return await this.#client.trial.findMany({ where: { sweepId }, orderBy: { index: 'asc' }, select: TRIAL_FIELDS });
  }

  /** The trial that a job is of, with the state of its sweep; undefined: it is of none. */
  async trialOf(jobId: string): Promise<{ sweepId: string; sweepState: SweepState; state: TrialState } | undefined> {
    const row = await this.#client.trial.findUnique({
      where: { jobId },
      select: { sweepId: true, state: true, sweep: { select: { state: true } } },
    });
    if (row === null) return undefined;
    const { sweepId, state, sweep } = row;
    return { sweepId, sweepState: sweep.state as SweepState, state: state as TrialState };
  }

  /** The run spec of a trial. */
  async trialSpec(sweepId: string, index: number): Promise<RunSpec> {
    const row = await this.#client.trial.findUniqueOrThrow({
      where: { sweepId_index: { sweepId, index } },
      select: { spec: true },
    });
    return row.spec as unknown as RunSpec;
  }

  async updateTrial(sweepId: string, index: number, changes: TrialChanges): Promise<TrialRow> {
    const { reason, results, ...rest } = changes;
    return await this.#client.trial.update({
      where: { sweepId_index: { sweepId, index } },
      data: {
        ...rest,
        ...(reason === undefined ? {} : { reason: reason === null ? null : storableText(reason) }),
        ...(results === undefined ? {} : { results: json(results) }),
      },
      select: TRIAL_FIELDS,
    });
  }
}
