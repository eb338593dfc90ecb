import {
  type AuditEvent,
  auditEventSchema,
  type CallerView,
  type CreatedToken,
  callerSchema,
  createdTokenSchema,
  type NewTokenInput,
  type Page,
  type Token,
  tokenSchema,
} from '@clipyard/contracts';
import type { Call, Reader } from './reader.js';

export type AuditQuery = Readonly<
  Partial<Record<'actor' | 'action' | 'target' | 'project' | 'since' | 'until' | 'cursor', string>> & { limit?: number }
>;

/** Tokens and the audit log of the REST API. */
export class AccessCalls {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Who the server takes us for. */
  whoAmI(options: Call = {}): Promise<CallerView> {
    return this.#reader.get(callerSchema, '/v1/whoami', {}, options);
  }

  /** The answer is the only one that holds the token; not repeated on a failure, which might make two. */
  createToken(token: NewTokenInput, options: Call = {}): Promise<CreatedToken> {
    return this.#reader.act(createdTokenSchema, '/v1/tokens', { body: token, ...options });
  }

  /** Newest first. */
  listTokens(query: { cursor?: string; limit?: number } = {}, options: Call = {}): Promise<Page<Token>> {
    return this.#reader.page(tokenSchema, '/v1/tokens', query, options);
  }

  revokeToken(tokenId: string, options: Call = {}): Promise<Token> {
    return this.#reader.revoke(tokenSchema, `/v1/tokens/${encodeURIComponent(tokenId)}`, options);
  }

  /** Newest first. */
  audit(query: AuditQuery = {}, options: Call = {}): Promise<Page<AuditEvent>> {
    return this.#reader.page(auditEventSchema, '/v1/audit', query, options);
  }
}
