import { z } from 'zod';

/** Who may do what: tokens, their scopes, the projects that separate teams, and the record of every change. */

/** Each includes those before it. */
export const SCOPES = ['read', 'submit', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Whether a scope includes another. */
export function includesScope(held: Scope, needed: Scope): boolean {
  return SCOPES.indexOf(held) >= SCOPES.indexOf(needed);
}

/** Where everything belongs that names no project. */
export const DEFAULT_PROJECT = 'default';

export const projectSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 of a-z, 0-9 and -, not beginning with -');

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  /** The only one whose jobs it sees; null: all. */
  project: z.string().nullable(),
  /** Name of the token that made it, or `local`. */
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
  /** null: never. */
  expiresAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  /** To the minute. */
  lastUsedAt: z.iso.datetime().nullable(),
});
export type Token = z.infer<typeof tokenSchema>;

/** A token as it is told once, to whoever made it. */
export const createdTokenSchema = tokenSchema.extend({ token: z.string() });
export type CreatedToken = z.infer<typeof createdTokenSchema>;

export const newTokenSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.@-][\w.@ -]{0,99}$/, 'must be 1 to 100 letters, digits, blanks or . _ @ -')
    .describe('says in the audit log who did something'),
  scopes: z.array(z.enum(SCOPES)).min(1).describe('`read` < `submit` < `admin`: each includes those before it'),
  project: projectSchema.nullable().default(DEFAULT_PROJECT).describe('the only one whose jobs it sees; null: all'),
  expiresInDays: z.number().positive().max(3650).nullable().default(90).describe('null: never'),
});
export type NewToken = z.infer<typeof newTokenSchema>;
export type NewTokenInput = z.input<typeof newTokenSchema>;

/** What a browser signs in with. */
export const signInSchema = z.strictObject({ token: z.string().min(1).max(500) });

/** Who asks, as the server sees it. */
export const callerSchema = z.object({
  /** Of the token; `local` without one, `bootstrap` with the configured one. */
  name: z.string(),
  tokenId: z.string().nullable(),
  scopes: z.array(z.enum(SCOPES)),
  project: z.string().nullable(),
  expiresAt: z.iso.datetime().nullable(),
});
export type CallerView = z.infer<typeof callerSchema>;

export const auditEventSchema = z.object({
  id: z.string(),
  at: z.iso.datetime(),
  /** Name of the token, `local` or `bootstrap`. */
  actor: z.string(),
  tokenId: z.string().nullable(),
  /** Id of the operation, as in the OpenAPI document. */
  action: z.string(),
  /** Id of what was changed. */
  target: z.string().nullable(),
  project: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
  requestId: z.string().nullable(),
  address: z.string().nullable(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;
