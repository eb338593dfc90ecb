import { type AuditEvent, fieldError, SCOPES, type Scope, type Token } from '@clipyard/contracts';
import type { AuditRow, Database, TokenRow } from '@clipyard/db';
import { decodeRowId, decodeTimeCursor, encodeTimeCursor } from '../cursor.js';
import type { AccessPlane } from './access-plane.js';
import type { Behalf } from './behalf.js';
import { callerView, narrowed, projectFor, scopesOf, sees } from './caller.js';
import { newSecret } from './token-secret.js';

const DAY_MS = 86_400_000;

export function createAccessPlane({ database }: { readonly database: Database }, behalf: Behalf): AccessPlane {
  const { caller } = behalf;

  function found(tokenId: string, row: TokenRow | null): TokenRow {
    if (row !== null && sees(caller, row.project)) return row;
    throw fieldError('token_not_found', {
      path: 'id',
      message: 'is not the id of a token',
      value: tokenId,
      remedy: 'List the tokens with `clipyard token ls` or GET /v1/tokens.',
    });
  }

  return {
    whoAmI: () => callerView(caller),

    async createToken({ name, scopes, project: asked, expiresInDays }) {
      // All projects are asked for by null: only who sees them may give them away.
      const project = asked === null && caller.project === null ? null : projectFor(caller, asked ?? undefined);
      const scope = SCOPES.findLast((candidate) => scopes.includes(candidate))!;
      const { id, token, hash } = newSecret();
      const expiresAt = expiresInDays === null ? null : new Date(Date.now() + expiresInDays * DAY_MS);
      return await database.transaction(async (tx) => {
        const row = await tx.tokens.create({ id, name, hash, scope, project, expiresAt, createdBy: caller.name });
        await behalf.record(tx, 'createToken', {
          target: id,
          project,
          details: { name, scope, expiresAt: row.expiresAt?.toISOString() ?? null },
        });
        return { ...tokenView(row), token };
      });
    },

    async listTokens({ cursor, limit }) {
      const after = cursor === undefined ? {} : { after: decodeTimeCursor(cursor) };
      const rows = await database.read((db) => db.tokens.list({ project: caller.project, ...after, limit: limit + 1 }));
      const items = rows.slice(0, limit);
      return {
        items: items.map(tokenView),
        nextCursor: rows.length > limit ? encodeTimeCursor(items.at(-1)!) : null,
      };
    },

    getToken: (tokenId) => database.read(async (db) => tokenView(found(tokenId, await db.tokens.find(tokenId)))),

    revokeToken: (tokenId) =>
      database.transaction(async (tx) => {
        const { id, name, project } = found(tokenId, await tx.tokens.find(tokenId));
        await tx.tokens.revoke(id);
        await behalf.record(tx, 'revokeToken', { target: id, project, details: { name } });
        return tokenView((await tx.tokens.find(id))!);
      }),

    async listAudit({ cursor, limit, project, since, until, ...filter }) {
      const before = cursor === undefined ? {} : { before: decodeRowId('cursor', cursor) };
      const within = narrowed(caller, project);
      if (within === undefined) return { items: [], nextCursor: null };
      const times = {
        ...(since === undefined ? {} : { since: new Date(since) }),
        ...(until === undefined ? {} : { until: new Date(until) }),
      };
      const query = { ...filter, ...within, ...times, ...before, limit: limit + 1 };
      const rows = await database.read((db) => db.audit.list(query));
      const items = rows.slice(0, limit);
      return { items: items.map(auditView), nextCursor: rows.length > limit ? String(items.at(-1)!.id) : null };
    },

    recordChange: (action, target) =>
      database.transaction((tx) => behalf.record(tx, action, { target, project: caller.project })),
  };
}

function tokenView(row: TokenRow): Token {
  return {
    id: row.id,
    name: row.name,
    scopes: scopesOf(row.scope as Scope),
    project: row.project,
    createdBy: row.createdBy,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  };
}

function auditView({ id, at, details, ...row }: AuditRow): AuditEvent {
  return { ...row, id: String(id), at: at.toISOString(), details: details as AuditEvent['details'] };
}
