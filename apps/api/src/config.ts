import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { ClipyardError, fieldProblems } from '@clipyard/contracts';
import { z } from 'zod';

const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that begins with ${protocols.join(' or ')}//`,
  });

/** The environment of the API process; what is not listed here is not read. */
const environmentSchema = z.object({
  DATABASE_URL: url('postgres:', 'postgresql:').describe('Postgres; `npm start` brings one of its own'),
  REDIS_URL: url('redis:', 'rediss:').optional().describe('Redis for the queues; unset: the queues are in Postgres'),
  STORAGE_URL: z.string().min(1).optional().describe('Where checkpoints lie; default: `storage` below CLIPYARD_HOME'),
  CLIPYARD_HOME: z.string().min(1).optional().describe('Where a server of this machine keeps its files'),
  HOST: z.string().min(1).default('127.0.0.1').describe('Interface to listen on'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(7070).describe('Port to listen on; 0: any free one'),
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
      // A database URL holds a password: it is not repeated in logs.
      ...(/^(DATABASE|REDIS)_URL$/.test(field.path) ? { value: undefined } : {}),
      ...(given[field.path] === undefined ? { remedy: `Set ${field.path}; \`npm start\` does it by itself.` } : {}),
    }));
    throw new ClipyardError('config_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  }
  const { HOST, PORT, DATABASE_URL, REDIS_URL, STORAGE_URL, CLIPYARD_HOME, CLIPYARD_LOG_LEVEL } = parsed.data;
  return Object.freeze({
    role,
    migrate,
    host: HOST,
    port: PORT,
    databaseUrl: DATABASE_URL,
    redisUrl: REDIS_URL,
    storageUrl:
      STORAGE_URL ?? (CLIPYARD_HOME === undefined ? undefined : pathToFileURL(resolve(CLIPYARD_HOME, 'storage')).href),
    logLevel: CLIPYARD_LOG_LEVEL,
  });
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
