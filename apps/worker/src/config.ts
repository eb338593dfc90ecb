import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ClipyardError, fieldProblems } from '@clipyard/contracts';
import { s3Roots } from '@clipyard/storage';
import { z } from 'zod';

const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that begins with ${protocols.join(' or ')}//`,
  });
const path = z.string().min(1);

/** The environment of the worker; what is not listed here is not read. */
const environmentSchema = z.object({
  DATABASE_URL: url('postgres:', 'postgresql:').describe('Postgres, migrated'),
  REDIS_URL: url('redis:', 'rediss:').optional().describe('Redis for the queues; unset: the queues are in Postgres'),
  STORAGE_URL: path.optional().describe('Where checkpoints lie; default: `storage` below CLIPYARD_HOME'),
  CLIPYARD_HOME: path.optional().describe('Where a server of this machine keeps its files; default: `.clipyard`'),
  CLIPYARD_DATA_DIR: path
    .optional()
    .describe('What relative data URLs are resolved against; default: `data` below CLIPYARD_HOME'),
  CLIPYARD_DATA_S3: z.string().optional().describe('Places in S3 that run specs may read data from, parted by commas'),
  CLIPYARD_NODE_NAME: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe('Name of this node, unique; default: the host name'),
  CLIPYARD_POOL: z.string().min(1).max(63).default('default').describe('Pool that this node belongs to'),
  CLIPYARD_SLOTS: z.coerce.number().int().min(1).max(1024).default(1).describe('Ranks that may run here at once'),
  CLIPYARD_THREADS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe('Threads that one rank computes with; default: the cores divided by the slots, at least 1'),
  CLIPYARD_LISTEN_HOST: z.string().min(1).default('127.0.0.1').describe('Interface on which ranks wait for each other'),
  CLIPYARD_ADVERTISE_HOST: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Name by which ranks on other hosts reach this one; default: the listen host, or the host name if that is a wildcard',
    ),
  CLIPYARD_HEALTH_PORT: z.coerce
    .number()
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe('Port of the listen host that answers probes, /healthz and /readyz; unset: none'),
  CLIPYARD_ENGINES_DIR: path.optional().describe('Where built engines lie; default: `engines` below CLIPYARD_HOME'),
  CLIPYARD_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level that is logged'),
});

export interface Config {
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
  readonly storageUrl: string;
  readonly dataDir: string;
  readonly dataS3: string;
  readonly cacheDir: string;
  readonly enginesDir: string;
  readonly nodeName: string;
  readonly pool: string;
  readonly slots: number;
  readonly threads: number;
  readonly listenHost: string;
  readonly advertiseHost: string;
  /** Undefined: no probes are answered. */
  readonly healthPort: number | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** What rank processes inherit: all but our own variables, among which are passwords. */
  readonly rankEnvironment: NodeJS.ProcessEnv;
}

const DEFAULT_HOME = fileURLToPath(new URL('../../../.clipyard', import.meta.url));
/** Of people, and of the API: no rank needs them. */
const TOKENS = /^CLIPYARD_(BOOTSTRAP_)?TOKEN(_FILE)?$/;
const WILDCARDS: readonly string[] = ['0.0.0.0', '::'];

/** Reads the environment once. Throws `config_invalid` with the name, the value and the remedy. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const names = Object.keys(environmentSchema.shape);
  // An empty variable counts as unset, as in docker-compose's `${NAME:-}`.
  const given = Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
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
  const values = parsed.data;
  const dataS3 = values.CLIPYARD_DATA_S3 ?? '';
  s3Roots(dataS3, 'CLIPYARD_DATA_S3');
  const home = resolve(values.CLIPYARD_HOME ?? DEFAULT_HOME);
  const slots = values.CLIPYARD_SLOTS;
  const listenHost = values.CLIPYARD_LISTEN_HOST;
  return Object.freeze({
    databaseUrl: values.DATABASE_URL,
    redisUrl: values.REDIS_URL,
    storageUrl: values.STORAGE_URL ?? pathToFileURL(join(home, 'storage')).href,
    dataDir: resolve(values.CLIPYARD_DATA_DIR ?? join(home, 'data')),
    dataS3,
    cacheDir: join(home, 'cache'),
    enginesDir: resolve(values.CLIPYARD_ENGINES_DIR ?? join(home, 'engines')),
    nodeName: values.CLIPYARD_NODE_NAME ?? hostname(),
    pool: values.CLIPYARD_POOL,
    slots,
    threads: values.CLIPYARD_THREADS ?? Math.max(1, Math.floor(availableParallelism() / slots)),
    listenHost,
    advertiseHost: values.CLIPYARD_ADVERTISE_HOST ?? (WILDCARDS.includes(listenHost) ? hostname() : listenHost),
    healthPort: values.CLIPYARD_HEALTH_PORT,
    logLevel: values.CLIPYARD_LOG_LEVEL,
    rankEnvironment: Object.freeze(
      Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name) && !TOKENS.test(name))),
    ),
  });
}
