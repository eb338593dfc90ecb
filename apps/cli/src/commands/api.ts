import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fieldError } from '@clipyard/contracts';
import { parse } from 'yaml';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { readSpecFile } from '../spec-file.js';

export const API_METHODS = ['GET', 'POST', 'PATCH', 'DELETE'] as const;

export interface ApiOptions extends ServerOptions {
  readonly method?: (typeof API_METHODS)[number];
  readonly body?: string;
  readonly out?: string;
  readonly header: readonly string[];
}

/** Sends one request to any route and prints the answer, line by line as it comes. */
export async function api(context: Context, path: string, options: ApiOptions): Promise<number> {
  const { terminal, signal } = context;
  if (!path.startsWith('/'))
    throw fieldError('request_invalid', {
      path: 'path',
      message: 'is not a path of the server',
      value: path,
      remedy: 'Begin it with a slash: /v1/jobs?limit=5.',
    });
  const { method = options.body === undefined ? 'GET' : 'POST' } = options;
  const body = options.body === undefined ? undefined : await bodyOf(options.body);
  const headers = {
    accept: '*/*',
    // What is created is created once, whatever becomes of the connection.
    ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
    ...Object.fromEntries(options.header.map(parseHeader)),
  };
  const client = await clientOf(context, options);
  const response = await client.open(path, { method, headers, signal, ...(body === undefined ? {} : { body }) });
  if (response.body === null) return EXIT.ok;
  if (options.out !== undefined) {
    await pipeline(Readable.fromWeb(response.body), createWriteStream(options.out, { flags: 'wx' }), { signal });
    return EXIT.ok;
  }
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) terminal.out(line);
  }
  if (rest !== '') terminal.out(rest);
  return EXIT.ok;
}

/** `@file`, or YAML or JSON as it stands. */
const bodyOf = (text: string): Promise<unknown> | unknown =>
  text.startsWith('@') ? readSpecFile(text.slice(1)) : parse(text);

function parseHeader(text: string): [string, string] {
  const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name.toLowerCase(), value];
  throw fieldError('request_invalid', {
    path: '--header',
    message: 'is not name: value',
    value: text,
    remedy: 'Write it as --header \'if-match: "3"\'.',
  });
}
