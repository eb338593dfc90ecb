import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ClipyardError, fieldProblems } from '@clipyard/contracts';
import { z } from 'zod';

/** The environment of the command; what is not listed here is not read. */
const environmentSchema = z.object({
  CLIPYARD_URL: z.url({ protocol: /^https?$/, error: 'must be a URL that begins with http:// or https://' }).optional(),
  CLIPYARD_TOKEN: z.string().min(1).optional(),
  XDG_CONFIG_HOME: z.string().min(1).optional(),
  HOME: z.string().min(1).optional(),
  CLIPYARD_HOME: z.string().min(1).optional(),
  CLIPYARD_SLOTS: z.coerce.number().int().min(1).max(64).default(2),
  CLIPYARD_THREADS: z.coerce.number().int().min(1).max(1024).optional(),
  CLIPYARD_DATA_DIR: z.string().min(1).optional(),
  CLIPYARD_DATA_S3: z.string().default(''),
  CLIPYARD_ENGINES_DIR: z.string().min(1).optional(),
  DATABASE_URL: z.string().min(1).optional(),
  REDIS_URL: z.string().min(1).optional(),
  STORAGE_URL: z.string().min(1).optional(),
  PIP_INDEX_URL: z.string().min(1).optional(),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).optional(),
});

export interface Config {
  /** The checkout. */
  readonly root: string;
  /** Where a server of this checkout keeps everything. */
  readonly home: string;
  /** Where built engines lie. */
  readonly enginesDir: string;
  /** The whole environment, for the processes that `clipyard up` starts. */
  readonly environment: NodeJS.ProcessEnv;
  /** The server to talk to, when the environment names one. */
  readonly url: string | undefined;
  /** What it lets us in with. */
  readonly token: string | undefined;
  /** Where `clipyard login` keeps servers and tokens; undefined: nowhere. */
  readonly contextsFile: string | undefined;
  /** Where Python packages come from, for `clipyard engines build`; unset: PyPI. */
  readonly packageIndexUrl: string | undefined;
  /** What `clipyard up` starts, and with what. */
  readonly up: {
    readonly slots: number;
    readonly threads: number | undefined;
    readonly dataDir: string;
    /** Places in S3 that data may lie in as well. */
    readonly dataS3: string;
    readonly storageUrl: string;
    readonly databaseUrl: string | undefined;
    readonly redisUrl: string | undefined;
    readonly host: string;
    /** Unset: 7070, or any free one when that is taken. */
    readonly port: number | undefined;
  };
}

/** Reads the environment once. Throws `config_invalid` with the name, the value and the remedy. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(
    Object.keys(environmentSchema.shape).flatMap((key) => (env[key] ? [[key, env[key]]] : [])),
  );
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, given, 'Correct or unset this environment variable.');
    throw new ClipyardError('config_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  }
  const values = parsed.data;
  const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  const home = resolve(values.CLIPYARD_HOME ?? join(root, '.clipyard'));
  const settings = values.XDG_CONFIG_HOME ?? (values.HOME === undefined ? undefined : join(values.HOME, '.config'));
  return Object.freeze({
    root,
    home,
    enginesDir: resolve(values.CLIPYARD_ENGINES_DIR ?? join(home, 'engines')),
    environment: env,
    url: values.CLIPYARD_URL,
    token: values.CLIPYARD_TOKEN,
    contextsFile: settings === undefined ? undefined : join(settings, 'clipyard', 'contexts.json'),
    packageIndexUrl: values.PIP_INDEX_URL,
    up: Object.freeze({
      slots: values.CLIPYARD_SLOTS,
      threads: values.CLIPYARD_THREADS,
      dataDir: resolve(values.CLIPYARD_DATA_DIR ?? join(home, 'data')),
      dataS3: values.CLIPYARD_DATA_S3,
      storageUrl: values.STORAGE_URL ?? pathToFileURL(join(home, 'storage')).href,
      databaseUrl: values.DATABASE_URL,
      redisUrl: values.REDIS_URL,
      host: values.HOST,
      port: values.PORT,
    }),
  });
}
