import { Client } from '@clipyard/client';
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

/** A client of the server that `--url`, CLIPYARD_URL, or else a running `clipyard up` of this checkout names. */
export async function clientOf({ config }: Context, options: ServerOptions): Promise<Client> {
  const url = options.url ?? config.url ?? (await readServerFile(config.home))?.url ?? DEFAULT_URL;
  return new Client({}, { url });
}
