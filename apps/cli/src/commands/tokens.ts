import { type CreatedToken, fieldError, type NewTokenInput, type Scope } from '@clipyard/contracts';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatAge } from '../output/format.js';
import { formatTable } from '../output/table.js';

const HOURS_OF_A_DAY = 24;

export interface TokenOptions extends ServerOptions {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly project?: string;
  readonly allProjects?: boolean;
  readonly expires?: string;
  readonly database?: boolean;
}

/** Makes a token and prints it, this once. */
export async function createToken(context: Context, options: TokenOptions): Promise<number> {
  const { name, scopes, project, allProjects, expires } = options;
  const asked: NewTokenInput = {
    name,
    scopes: [...scopes],
    ...(allProjects === true ? { project: null } : project === undefined ? {} : { project }),
    ...(expires === undefined ? {} : { expiresInDays: daysOf(expires) }),
  };
  const made =
    options.database === true
      ? await inDatabase(context, asked)
      : await (await clientOf(context, options)).access.createToken(asked, { signal: context.signal });
  if (options.json === true) context.terminal.out(JSON.stringify(made));
  else {
    context.terminal.out(made.token);
    const where = made.project === null ? 'all projects' : `project ${made.project}`;
    const until = made.expiresAt === null ? 'for good' : `until ${made.expiresAt}`;
    context.terminal.err(
      `${made.name} (${made.id}): ${made.scopes.at(-1)}, ${where}, ${until}. It is not shown again.`,
    );
  }
  return EXIT.ok;
}

/** Without the API: for the first token of a server that asks for one. */
async function inDatabase({ config }: Context, asked: NewTokenInput): Promise<CreatedToken> {
  const { databaseUrl } = config.up;
  if (databaseUrl === undefined) {
    throw fieldError('config_invalid', {
      path: 'DATABASE_URL',
      message: 'is not set',
      remedy:
        'Set it as the API has it; without --database the server makes the token, and on loopback needs none itself.',
    });
  }
  return await (await import('../database-tokens.js')).createTokenInDatabase(databaseUrl, asked);
}

function daysOf(text: string): number | null {
  if (text === 'never') return null;
  const [, count, unit] = /^(\d{1,5})([dh])$/.exec(text) ?? [];
  if (count !== undefined && Number(count) > 0) return unit === 'd' ? Number(count) : Number(count) / HOURS_OF_A_DAY;
  throw fieldError('request_invalid', {
    path: '--expires',
    message: 'is no span of time',
    value: text,
    remedy: 'Write it as 30d, 12h or never.',
  });
}

export async function listTokens(context: Context, options: ServerOptions): Promise<number> {
  const { access } = await clientOf(context, options);
  const page = await access.listTokens({ limit: 500 }, { signal: context.signal });
  if (options.json === true) context.terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) context.terminal.out('no tokens');
  else {
    const rows = page.items.map((token) => [
      token.id,
      token.name,
      token.scopes.at(-1)!,
      token.project ?? 'all projects',
      token.revokedAt !== null ? 'revoked' : expiry(token.expiresAt),
      token.lastUsedAt === null ? 'never' : `${formatAge(token.lastUsedAt)} ago`,
    ]);
    for (const line of formatTable(['TOKEN', 'NAME', 'SCOPE', 'PROJECT', 'ENDS', 'USED'], rows))
      context.terminal.out(line);
  }
  return EXIT.ok;
}

function expiry(expiresAt: string | null): string {
  if (expiresAt === null) return 'never';
  return Date.parse(expiresAt) <= Date.now() ? 'expired' : expiresAt.slice(0, 10);
}

export async function revokeToken(context: Context, id: string, options: ServerOptions): Promise<number> {
  const revoked = await (await clientOf(context, options)).access.revokeToken(id, { signal: context.signal });
  context.terminal.out(options.json === true ? JSON.stringify(revoked) : `revoked ${revoked.name} (${revoked.id})`);
  return EXIT.ok;
}

export interface AuditOptions extends ServerOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly project?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

export async function audit(context: Context, options: AuditOptions): Promise<number> {
  const { url, json, ...query } = options;
  const client = await clientOf(context, options);
  const page = await client.access.audit(query, { signal: context.signal });
  if (json === true) context.terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) context.terminal.out('no changes');
  else {
    const rows = page.items.map((event) => [
      event.at,
      event.actor,
      event.action,
      event.target ?? '-',
      event.project ?? '-',
      event.address ?? '-',
    ]);
    for (const line of formatTable(['AT', 'BY', 'ACTION', 'TARGET', 'PROJECT', 'FROM'], rows))
      context.terminal.out(line);
    if (page.nextCursor !== null) context.terminal.out(`the newest ${page.items.length}; --limit shows more`);
  }
  return EXIT.ok;
}
