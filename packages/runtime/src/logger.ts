import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';

export type { Logger };

export interface CreateLoggerOptions {
  /** Stands in every line as `name`. */
  readonly name: string;
  /** Least level that is written; default `info`. */
  readonly level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** File to append to, its directory made if missing; unset: stdout. */
  readonly file?: string;
  /** Where lines go instead, for tests. */
  readonly destination?: DestinationStream;
  /** Fields that stand in every line. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** Never written, at the top of a line's fields or one or two objects deep. */
const SECRET_FIELDS = ['secret', 'password', 'token', 'authorization', 'cookie', 'databaseUrl', 'redisUrl', 'apiKey'];

/** A pino logger that writes JSON lines with ISO times and level names, secrets replaced by `[redacted]`. */
export function createLogger({ name, level = 'info', file, destination, fields = {} }: CreateLoggerOptions): Logger {
  const options: LoggerOptions = {
    name,
    level,
    base: { pid: process.pid, ...fields },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[redacted]' },
  };
  // Synchronous: the last lines before a crash are the ones that matter.
  return pino(options, destination ?? pino.destination({ dest: file ?? 1, append: true, mkdir: true, sync: true }));
}

/** The URL with its password replaced, for messages; what is no URL is returned as it is. */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.password !== '') parsed.password = '***';
  return parsed.href;
}
