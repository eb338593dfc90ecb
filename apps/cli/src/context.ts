import { Client } from '@clipyard/client';
import { fieldError } from '@clipyard/contracts';
import type { Config } from './config.js';
import { readContexts, tokenFor } from './contexts.js';
import type { Terminal } from './output/terminal.js';
import { readServerFile } from './up/server-file.js';

/** What every command gets. */
export interface Context {
  readonly config: Config;
  readonly terminal: Terminal;
  /** Asks for a token, without showing it; undefined: nobody is there to ask. */
  readonly readSecret?: () => Promise<string>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface ServerOptions {
  readonly url?: string;
  readonly json?: boolean;
}

export const DEFAULT_URL = 'http://127.0.0.1:7070';

/** Throws `request_invalid` unless it is an address that a server can have. */
export function checkUrl(path: string, value: string): void {
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return;
  throw fieldError('request_invalid', {
    path,
    message: 'is not a URL that begins with http:// or https://',
    value,
    remedy: `Write it as ${path.startsWith('--') ? `${path} ` : ''}${DEFAULT_URL}.`,
  });
}

/**
 * The server that `--url` or CLIPYARD_URL names, or that was logged in to and is in use, or else a running `clipyard up` of
 * this checkout.
 */
export async function serverUrl({ config }: Context, options: ServerOptions): Promise<string> {
  if (options.url !== undefined) checkUrl('--url', options.url);
  const named = options.url ?? config.url;
  if (named !== undefined) return named;
  const { current, contexts } = await readContexts(config.contextsFile);
  const chosen = current === null ? undefined : contexts[current];
  return chosen?.url ?? (await readServerFile(config.home))?.url ?? DEFAULT_URL;
}

/** A client of that server, with the token of CLIPYARD_TOKEN or that was kept for it. */
export async function clientOf(context: Context, options: ServerOptions): Promise<Client> {
  const url = await serverUrl(context, options);
  const token = context.config.token ?? tokenFor(await readContexts(context.config.contextsFile), url);
  return new Client({}, { url, ...(token === undefined ? {} : { token }) });
}
