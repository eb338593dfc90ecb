import { fieldError, type Scope } from '@clipyard/contracts';
import type { Database, TokenRow } from '@clipyard/db';
import type { Caller } from './caller.js';
import { hasHash, hashOf, parseToken } from './token-secret.js';

/** How exact `lastUsedAt` is, ms: it is not written more often. */
const USE_RECORD_MS = 60_000;
/** Compared with where there is no such token, so that it takes as long. */
const NO_HASH = hashOf('no secret has this hash');

export interface Authenticator {
  /** Throws `token_invalid`, without saying more than its holder knows. */
  authenticate(token: string): Promise<Caller>;
  /** Whether anybody can come in: there is a configured token, or an admin's of all projects. */
  hasAdmin(): Promise<boolean>;
}

/** `bootstrapToken`: an admin's of all projects that is configured rather than stored. */
export function createAuthenticator(
  { database }: { readonly database: Database },
  { bootstrapToken }: { readonly bootstrapToken?: string } = {},
): Authenticator {
  const bootstrapHash = bootstrapToken === undefined ? undefined : hashOf(bootstrapToken);
  return {
    async authenticate(token) {
      if (bootstrapHash !== undefined && hasHash(token, bootstrapHash))
        return { name: 'bootstrap', tokenId: null, scope: 'admin', project: null, expiresAt: null };
      const parsed = parseToken(token);
      const row = parsed === undefined ? null : await database.read((db) => db.tokens.find(parsed.id));
      const holds = hasHash(parsed?.secret ?? '', row?.hash ?? NO_HASH);
      if (row === null || !holds) throw invalid('is not a token of this server', 'Make one: clipyard token create.');
      if (row.revokedAt !== null) throw invalid('was revoked', 'Ask for a new one.');
      if (row.expiresAt !== null && row.expiresAt.getTime() <= Date.now())
        throw invalid(`has expired, at ${row.expiresAt.toISOString()}`, 'Ask for a new one.');
      await recordUse(database, row);
      const { id: tokenId, name, project, expiresAt } = row;
      return { name, tokenId, scope: row.scope as Scope, project, expiresAt };
    },

    hasAdmin: async () => bootstrapToken !== undefined || (await database.read((db) => db.tokens.hasAdmin())),
  };
}

async function recordUse(database: Database, { id, lastUsedAt }: TokenRow): Promise<void> {
  if (lastUsedAt !== null && Date.now() - lastUsedAt.getTime() < USE_RECORD_MS) return;
  await database.transaction((tx) => tx.tokens.markUsed(id));
}

const invalid = (message: string, remedy: string): Error =>
  fieldError('token_invalid', { path: 'Authorization', message, remedy });
