import type { AuditEvent, CallerView, CreatedToken, NewToken, OperationId, Page, Token } from '@clipyard/contracts';

export interface AuditFilter {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly project?: string;
  readonly since?: string;
  readonly until?: string;
}

/** Tokens and the audit log. Unknown ids, and those of other projects, throw `token_not_found`. */
export interface AccessPlane {
  whoAmI(): CallerView;
  createToken(token: NewToken): Promise<CreatedToken>;
  listTokens(query: { cursor?: string; limit: number }): Promise<Page<Token>>;
  getToken(tokenId: string): Promise<Token>;
  revokeToken(tokenId: string): Promise<Token>;
  listAudit(query: AuditFilter & { cursor?: string; limit: number }): Promise<Page<AuditEvent>>;
  /** Records a change that was not recorded together with what it changed. */
  recordChange(action: OperationId, target: string | null): Promise<void>;
}
