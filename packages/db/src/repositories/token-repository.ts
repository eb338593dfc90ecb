import type { Scope } from '@clipyard/contracts';
import type { Prisma, Token as TokenRow } from '../generated/client.js';
import type { Client } from './client.js';

export type { TokenRow };

export interface TokenData {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly scope: Scope;
  readonly project: string | null;
  readonly createdBy: string;
  readonly expiresAt: Date | null;
}

export class TokenRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async create(data: TokenData): Promise<TokenRow> {
    return await this.#client.token.create({ data });
  }

  async find(id: string): Promise<TokenRow | null> {
    return await this.#client.token.findUnique({ where: { id } });
  }

  /** Newest first. `project`: only its own. */
  async list(query: {
    project: string | null;
    after?: { createdAt: Date; id: string };
    limit: number;
  }): Promise<TokenRow[]> {
    const { project, after, limit } = query;
    const filters: Prisma.TokenWhereInput[] = [];
    if (project !== null) filters.push({ project });
    if (after !== undefined)
      filters.push({
        OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }],
      });
    return await this.#client.token.findMany({
      where: { AND: filters },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit,
    });
  }

  /** The time of an earlier revocation stays. */
  async revoke(id: string): Promise<void> {
    await this.#client.token.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: new Date() } });
  }

  async markUsed(id: string): Promise<void> {
    await this.#client.token.updateMany({ where: { id }, data: { lastUsedAt: new Date() } });
  }

  /** Whether any admin token of all projects is valid. */
  async hasAdmin(): Promise<boolean> {
    const now = new Date();
    const found = await this.#client.token.findFirst({
      where: {
        scope: 'admin',
        project: null,
        revokedAt: null,
        OR: [{ expiresAt: null }, { expiresAt: { gt: now } }],
      },
      select: { id: true },
    });
    return found !== null;
  }
}
