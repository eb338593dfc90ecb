import { Client } from '@clipyard/client';
import { fieldError } from '@clipyard/contracts';
import type { Config } from './config.js';
import type { Terminal } from './output/terminal.js';
import { readServerFile } from './up/server-file.js';

/** What every command gets. */
export interface Context {
  readonly config: Config;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface ServerOptions {
  readonly url?: string;
  readonly json?: boolean;
}

export const DEFAULT_URL = 'http://127.0.0.1:7070';

/** Throws `request_invalid` unless it is an address that a server can have. */
function checkUrl(value: string): void {
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return;
  throw fieldError('request_invalid', {
    path: '--url',
    message: 'is not a URL that begins with http:// or https://',
    value,
    remedy: `Write it as --url ${DEFAULT_URL}.`,
  });
}

/** A client of the server that `--url`, CLIPYARD_URL, or else a running `clipyard up` of this checkout names. */
export async function clientOf({ config }: Context, options: ServerOptions): Promise<Client> {
  if (options.url !== undefined) checkUrl(options.url);
  const url = options.url ?? config.url ?? (await readServerFile(config.home))?.url ?? DEFAULT_URL;
  return new Client({}, { url, ...(config.token === undefined ? {} : { token: config.token }) });
}
