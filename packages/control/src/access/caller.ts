import { type CallerView, DEFAULT_PROJECT, fieldError, includesScope, SCOPES, type Scope } from '@clipyard/contracts';

/** On whose behalf something is done, and within which project. */
export interface Caller {
  /** Of the token; `local` without one, `bootstrap` with the configured one. */
  readonly name: string;
  readonly tokenId: string | null;
  readonly scope: Scope;
  /** The only one that it sees; null: all. */
  readonly project: string | null;
  readonly expiresAt: Date | null;
}

/** Whoever is on the machine of the server. */
export const LOCAL: Caller = { name: 'local', tokenId: null, scope: 'admin', project: null, expiresAt: null };

export function sees(caller: Caller, project: string | null): boolean {
  return caller.project === null || caller.project === project;
}

/** The project that a list is narrowed to: undefined is all. A project that the caller does not see has nothing to list. */
export function narrowed(caller: Caller, asked: string | undefined): { project?: string } | undefined {
  const project = asked ?? caller.project ?? undefined;
  if (project === undefined) return {};
  return sees(caller, project) ? { project } : undefined;
}

/** The project of what the caller makes. Throws `scope_insufficient` for one that is not its own. */
export function projectFor(caller: Caller, asked: string | undefined): string {
  const project = asked ?? caller.project ?? DEFAULT_PROJECT;
  if (sees(caller, project)) return project;
  throw fieldError('scope_insufficient', {
    path: 'project',
    message: `is not the project of the token, ${caller.project}`,
    value: project,
    remedy: 'Leave it out, or use a token of that project.',
  });
}

export function callerView({ name, tokenId, scope, project, expiresAt }: Caller): CallerView {
  return { name, tokenId, scopes: scopesOf(scope), project, expiresAt: expiresAt?.toISOString() ?? null };
}

/** A scope with those that it includes. */
export function scopesOf(scope: Scope): Scope[] {
  return SCOPES.filter((other) => includesScope(scope, other));
}
