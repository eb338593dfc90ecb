import type { CheckpointRecord } from '@clipyard/contracts';
import type { Checkpoint as CheckpointRow } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { CheckpointRow };

export class CheckpointRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Records a checkpoint; one of the same step, written by an earlier attempt, is replaced. */
  async record(id: string, jobId: string, epoch: number, checkpoint: CheckpointRecord): Promise<CheckpointRow> {
    const data = {
      epoch,
      position: BigInt(checkpoint.position),
      worldSize: checkpoint.worldSize,
      prefix: checkpoint.prefix,
      bytes: BigInt(checkpoint.bytes),
      manifestSha256: checkpoint.manifestSha256,
      metrics: json(checkpoint.metrics),
      files: json(checkpoint.files),
    };
    return await this.#client.checkpoint.upsert({
      where: { jobId_step: { jobId, step: checkpoint.step } },
      create: { id, jobId, step: checkpoint.step, ...data },
      update: { ...data, createdAt: new Date() },
    });
  }

  async find(id: string): Promise<CheckpointRow | null> {
    return await this.#client.checkpoint.findUnique({ where: { id } });
  }

  async findStep(jobId: string, step: number): Promise<CheckpointRow | null> {
    return await this.#client.checkpoint.findUnique({ where: { jobId_step: { jobId, step } } });
  }

  async setMetrics(id: string, metrics: CheckpointRecord['metrics']): Promise<void> {
    await this.#client.checkpoint.update({ where: { id }, data: { metrics: json(metrics) } });
  }

  /** Newest step first. */
  async list(jobId: string): Promise<CheckpointRow[]> {
    return await this.#client.checkpoint.findMany({ where: { jobId }, orderBy: { step: 'desc' } });
  }

  /** Step of the newest checkpoint; -1: none. */
  async newestStep(jobId: string): Promise<number> {
    const newest = await this.#client.checkpoint.findFirst({
      where: { jobId },
      orderBy: { step: 'desc' },
      select: { step: true },
    });
    return newest?.step ?? -1;
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#client.checkpoint.deleteMany({ where: { id: { in: [...ids] } } });
  }
}
