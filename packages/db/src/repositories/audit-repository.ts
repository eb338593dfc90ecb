import type { AuditEvent as AuditRow, Prisma } from '../generated/client.js';
import { type Client, json } from './client.js';

export type { AuditRow };

export interface AuditEntry {
  readonly actor: string;
  readonly tokenId: string | null;
  readonly action: string;
  readonly target: string | null;
  readonly project: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string | null;
  readonly address: string | null;
}

export interface AuditQuery {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly project?: string;
  readonly since?: Date;
  readonly until?: Date;
  /** Only those before this one. */
  readonly before?: bigint;
  readonly limit: number;
}

/** Who changed what; nothing here is ever changed or removed. */
export class AuditRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async append({ details, ...entry }: AuditEntry): Promise<void> {
    await this.#client.auditEvent.create({ data: { ...entry, details: json(details) } });
  }

  /** Newest first. */
  async list(query: AuditQuery): Promise<AuditRow[]> {
    const { actor, action, target, project, since, until, before, limit } = query;
    const filters: Prisma.AuditEventWhereInput[] = [];
    if (actor !== undefined) filters.push({ OR: [{ actor }, { tokenId: actor }] });
    if (action !== undefined) filters.push({ action });
    if (target !== undefined) filters.push({ target });
    if (project !== undefined) filters.push({ project });
    if (since !== undefined) filters.push({ at: { gte: since } });
    if (until !== undefined) filters.push({ at: { lt: until } });
    if (before !== undefined) filters.push({ id: { lt: before } });
    return await this.#client.auditEvent.findMany({ where: { AND: filters }, orderBy: { id: 'desc' }, take: limit });
  }
}
