import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { ClipyardError, fieldError, fieldProblems } from '@clipyard/contracts';
import { z } from 'zod';
import { isLoopback } from './admission.js';
import type { TlsFiles } from './protection.js';

const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that begins with ${protocols.join(' or ')}//`,
  });

/** `openssl rand -hex 32` makes one. */
const secret = z.string().regex(/^[\w.~-]{32,256}$/, 'must be 32 to 256 letters, digits or . _ ~ -');

function listed(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

const origins = z
  .string()
  .default('')
  .transform(listed)
  .refine((list) => list.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin), {
    error: 'must be origins such as https://example.org, with commas between',
  });

const addresses = z
  .string()
  .default('')
  .transform(listed)
  .refine((list) => list.every((address) => isIP(address.replace(/\/\d{1,3}$/, '')) !== 0), {
    error: 'must be addresses such as 10.0.0.2 or 10.0.0.0/8, with commas between',
  });

/** What must not be repeated in logs: it is a secret, or holds one. */
const SECRET = /^((DATABASE|REDIS)_URL|CLIPYARD_BOOTSTRAP_TOKEN)$/;

/** What only this process needs of the environment. */
const OWN_SECRETS = /^(DATABASE_URL|REDIS_URL|CLIPYARD_BOOTSTRAP_TOKEN(_FILE)?)$/;

/** The environment of the API process; what is not listed here is not read. */
const environmentSchema = z.object({
  DATABASE_URL: url('postgres:', 'postgresql:').describe('Postgres; `npm start` brings one of its own'),
  REDIS_URL: url('redis:', 'rediss:').optional().describe('Redis for the queues; unset: the queues are in Postgres'),
  STORAGE_URL: z.string().min(1).optional().describe('Where checkpoints lie; default: `storage` below CLIPYARD_HOME'),
  CLIPYARD_HOME: z.string().min(1).optional().describe('Where a server of this machine keeps its files'),
  CLIPYARD_DATA_DIR: z.string().min(1).optional().describe('Directory that run specs name data sets in'),
  HOST: z.string().min(1).default('127.0.0.1').describe('Interface to listen on'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(7070).describe('Port to listen on; 0: any free one'),
  CLIPYARD_AUTH: z
    .enum(['loopback', 'token'])
    .default('loopback')
    .describe('`loopback`: no token is needed while HOST is loopback; `token`: always'),
  CLIPYARD_BOOTSTRAP_TOKEN: secret.optional().describe("An admin's token of all projects, for the first start"),
  CLIPYARD_BOOTSTRAP_TOKEN_FILE: z.string().min(1).optional().describe('File with it, such as a mounted secret'),
  CLIPYARD_CORS_ORIGINS: origins.describe('Origins of other sites whose pages may ask, with commas between'),
  CLIPYARD_WEBHOOK_ALLOW_PRIVATE: z
    .enum(['true', 'false'])
    .default('false')
    .describe('`true`: webhooks may be on loopback and private addresses, and without TLS'),
  CLIPYARD_RATE_LIMIT: z.coerce.number().int().min(1).default(3000).describe('Requests of a token in a minute'),
  CLIPYARD_TLS_CERT: z.string().min(1).optional().describe('File with the certificate chain, PEM: then HTTPS only'),
  CLIPYARD_TLS_KEY: z.string().min(1).optional().describe('File with its key, PEM'),
  CLIPYARD_TRUSTED_PROXIES: addresses.describe("Proxies whose word on the client's address is taken, with commas"),
  CLIPYARD_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level that is logged'),
});

const ROLES = ['api', 'scheduler', 'all'] as const;
export type Role = (typeof ROLES)[number];

export interface Config {
  /** `api`: REST without the scheduler; `scheduler`: the scheduler with nothing but the health routes; `all`: both. */
  readonly role: Role;
  /** Apply the migrations before starting. */
  readonly migrate: boolean;
  readonly host: string;
  readonly port: number;
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
  /** Root of the blob store: for the URLs of checkpoints, and to send their files. */
  readonly storageUrl: string | undefined;
  /** Whether every request needs a token; else those that reach a loopback address do not. */
  readonly requireToken: boolean;
  /** An admin's token that is not in the database. */
  readonly bootstrapToken: string | undefined;
  readonly corsOrigins: readonly string[];
  /** Directory that relative data URLs are resolved against. */
  readonly dataDir: string;
  /** Directory for files that can be made again. */
  readonly cacheDir: string;
  /** The environment without what only this process needs, for the processes that it starts. */
  readonly childEnvironment: NodeJS.ProcessEnv;
  readonly allowPrivateWebhooks: boolean;
  /** Requests of a token in a minute. */
  readonly rateLimit: number;
  readonly tls: TlsFiles | undefined;
  readonly trustedProxies: readonly string[];
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** Reads arguments and environment once. Throws `config_invalid` with the name, the value and the remedy. */
export function loadConfig(
  argv: readonly string[] = process.argv.slice(2),
  env: NodeJS.ProcessEnv = process.env,
): Config {
  const { role, migrate } = parseArguments(argv);
  const given = Object.fromEntries(
    Object.keys(environmentSchema.shape).flatMap((key) => (env[key] ? [[key, env[key]]] : [])),
  );
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, given, 'Correct this environment variable.').map((field) => ({
      ...field,
      ...(SECRET.test(field.path) ? { value: undefined } : {}),
      ...(given[field.path] === undefined ? { remedy: `Set ${field.path}; \`npm start\` does it by itself.` } : {}),
    }));
    throw new ClipyardError('config_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  }
  const { CLIPYARD_AUTH, CLIPYARD_BOOTSTRAP_TOKEN, CLIPYARD_BOOTSTRAP_TOKEN_FILE, CLIPYARD_CORS_ORIGINS } = parsed.data;
  const { HOST, PORT, DATABASE_URL, REDIS_URL, STORAGE_URL, CLIPYARD_HOME, CLIPYARD_DATA_DIR, CLIPYARD_LOG_LEVEL } =
    parsed.data;
  const home = resolve(CLIPYARD_HOME ?? '.clipyard');
  const childEnvironment = Object.fromEntries(Object.entries(env).filter(([name]) => !OWN_SECRETS.test(name)));
  const { CLIPYARD_WEBHOOK_ALLOW_PRIVATE } = parsed.data;
  return Object.freeze({
    role,
    migrate,
    host: HOST,
    port: PORT,
    databaseUrl: DATABASE_URL,
    redisUrl: REDIS_URL,
    storageUrl:
      STORAGE_URL ?? (CLIPYARD_HOME === undefined ? undefined : pathToFileURL(resolve(CLIPYARD_HOME, 'storage')).href),
    requireToken: CLIPYARD_AUTH === 'token' || !isLoopback(HOST),
    bootstrapToken: CLIPYARD_BOOTSTRAP_TOKEN ?? readSecret(CLIPYARD_BOOTSTRAP_TOKEN_FILE),
    allowPrivateWebhooks: CLIPYARD_WEBHOOK_ALLOW_PRIVATE === 'true',
    corsOrigins: Object.freeze(CLIPYARD_CORS_ORIGINS),
    dataDir: resolve(CLIPYARD_DATA_DIR ?? join(home, 'data')),
    cacheDir: join(home, 'cache'),
    childEnvironment,
    rateLimit: parsed.data.CLIPYARD_RATE_LIMIT,
    tls: tlsFiles(parsed.data),
    trustedProxies: Object.freeze(parsed.data.CLIPYARD_TRUSTED_PROXIES),
    logLevel: CLIPYARD_LOG_LEVEL,
  });
}

function tlsFiles({ CLIPYARD_TLS_CERT, CLIPYARD_TLS_KEY }: z.output<typeof environmentSchema>): TlsFiles | undefined {
  if (CLIPYARD_TLS_CERT !== undefined && CLIPYARD_TLS_KEY !== undefined)
    return Object.freeze({ certFile: CLIPYARD_TLS_CERT, keyFile: CLIPYARD_TLS_KEY });
  if (CLIPYARD_TLS_CERT === undefined && CLIPYARD_TLS_KEY === undefined) return undefined;
  const path = CLIPYARD_TLS_CERT === undefined ? 'CLIPYARD_TLS_CERT' : 'CLIPYARD_TLS_KEY';
  throw fieldError('config_invalid', {
    path,
    message: 'is missing, and the other of certificate and key is set',
    remedy: 'Set both, or neither.',
  });
}

function readSecret(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const refused = (message: string, remedy: string) =>
    fieldError('config_invalid', { path: 'CLIPYARD_BOOTSTRAP_TOKEN_FILE', message, value: file, remedy });
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw refused(`cannot be read: ${(error as NodeJS.ErrnoException).code}`, 'Correct the path, or its permissions.');
  }
  const parsed = secret.safeParse(text);
  if (!parsed.success) throw refused('holds no token', 'Write one into it: openssl rand -hex 32.');
  return parsed.data;
}

function parseArguments(argv: readonly string[]): { role: Role; migrate: boolean } {
  const invalid = (path: string, message: string, value: unknown, remedy: string) =>
    new ClipyardError('config_invalid', `${path}: ${message}. ${remedy}`, {
      fields: [{ path, message, value, remedy }],
    });
  let values: { role: string; migrate: boolean };
  try {
    const options = { role: { type: 'string', default: 'all' }, migrate: { type: 'boolean', default: false } } as const;
    values = parseArgs({ args: [...argv], options, strict: true }).values;
  } catch (error) {
    throw invalid('arguments', (error as Error).message, argv.join(' '), 'Use --role api|scheduler|all and --migrate.');
  }
  const role = ROLES.find((name) => name === values.role);
  if (role === undefined)
    throw invalid('--role', 'is no role of this process', values.role, `Use one of: ${ROLES.join(', ')}.`);
  return { role, migrate: values.migrate };
}
