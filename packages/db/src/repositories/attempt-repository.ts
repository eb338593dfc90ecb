import type { AttemptState, RankState, SerializedError } from '@clipyard/contracts';
import { RANK_FINAL_STATES } from '@clipyard/contracts';
import type { Attempt as AttemptRow, Rank as RankRow } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { AttemptRow, RankRow };
export type AttemptWithRanks = AttemptRow & { readonly ranks: RankRow[] };

export interface AttemptChanges {
  readonly state?: AttemptState;
  readonly startStep?: number;
  readonly saves?: boolean;
  readonly error?: SerializedError;
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
}

export interface RankChanges {
  readonly state?: RankState;
  readonly host?: string;
  readonly port?: number;
  readonly pid?: number;
  readonly error?: SerializedError;
  readonly finishedAt?: Date;
}

export interface RankPlace {
  readonly nodeId: string;
  readonly slot: number;
}

/** Attempts with their ranks. */
export class AttemptRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Creates the attempt with one rank per place, and takes the slots. */
  async create(attempt: { jobId: string; epoch: number; secret: string }, places: readonly RankPlace[]): Promise<void> {
    const { jobId, epoch } = attempt;
    await this.#client.attempt.create({ data: { ...attempt, state: 'starting', worldSize: places.length } });
    await this.#client.rank.createMany({
      data: places.map((place, rank) => ({ jobId, epoch, rank, ...place, state: 'assigned' })),
    });
    for (const [rank, { nodeId, slot }] of places.entries()) {
      await this.#client.slot.update({
        where: { nodeId_index: { nodeId, index: slot }, jobId: null },
        data: { jobId, epoch, rank },
      });
    }
  }

  async find(jobId: string, epoch: number): Promise<AttemptWithRanks | null> {
    return await this.#client.attempt.findUnique({
      where: { jobId_epoch: { jobId, epoch } },
      include: { ranks: { orderBy: { rank: 'asc' } } },
    });
  }

  /** Newest first. */
  async list(jobId: string): Promise<AttemptWithRanks[]> {
    return await this.#client.attempt.findMany({
      where: { jobId },
      include: { ranks: { orderBy: { rank: 'asc' } } },
      orderBy: { epoch: 'desc' },
    });
  }

  async update(jobId: string, epoch: number, changes: AttemptChanges): Promise<void> {
    const { error, ...rest } = changes;
    await this.#client.attempt.update({
      where: { jobId_epoch: { jobId, epoch } },
      data: { ...rest, ...(error === undefined ? {} : { error: json(error) }) },
    });
  }

  async findRank(jobId: string, epoch: number, rank: number): Promise<RankRow | null> {
    return await this.#client.rank.findUnique({ where: { jobId_epoch_rank: { jobId, epoch, rank } } });
  }

  async updateRank(jobId: string, epoch: number, rank: number, changes: RankChanges): Promise<void> {
    const { error, ...rest } = changes;
    await this.#client.rank.update({
      where: { jobId_epoch_rank: { jobId, epoch, rank } },
      data: { ...rest, ...(error === undefined ? {} : { error: json(error) }) },
    });
  }

  /** Frees the slot that a rank holds. */
  async freeSlot(jobId: string, epoch: number, rank: number): Promise<void> {
    await this.#client.slot.updateMany({
      where: { jobId, epoch, rank },
      data: { jobId: null, epoch: null, rank: null },
    });
  }

  /** The ranks of a node that have not ended. */
  async unfinishedOn(nodeId: string): Promise<RankRow[]> {
    return await this.#client.rank.findMany({
      where: { nodeId, state: { notIn: [...RANK_FINAL_STATES] } },
      orderBy: [{ jobId: 'asc' }, { epoch: 'asc' }, { rank: 'asc' }],
    });
  }

  /** The jobs with ranks on a node that have not ended. */
  async jobsOn(nodeId: string): Promise<string[]> {
    return [...new Set((await this.unfinishedOn(nodeId)).map(({ jobId }) => jobId))];
  }

  /** The ranks that have not ended although their node is lost or stopped. */
  async unfinishedOnGoneNodes(): Promise<RankRow[]> {
    return await this.#client.rank.findMany({
      where: { state: { notIn: [...RANK_FINAL_STATES] }, node: { state: { in: ['lost', 'stopped'] } } },
      orderBy: [{ jobId: 'asc' }, { epoch: 'asc' }, { rank: 'asc' }],
    });
  }
}
