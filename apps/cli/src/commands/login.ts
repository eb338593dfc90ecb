import { Client } from '@clipyard/client';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import { type Context, checkUrl, clientOf, type ServerOptions, serverUrl } from '../context.js';
import { readContexts, writeContexts } from '../contexts.js';
import { EXIT } from '../exit-codes.js';
import { formatTable } from '../output/table.js';

/** Name of the server of this machine, which needs no token. */
const LOCAL = 'local';

/** Keeps a token for a server once that has accepted it, and goes on to use that server. */
export async function login(context: Context, url: string | undefined, options: { name?: string }): Promise<number> {
  const { config, terminal, signal } = context;
  if (url !== undefined) checkUrl('url', url);
  const server = url ?? (await serverUrl(context, {}));
  const name = options.name ?? new URL(server).host;
  if (!/^[\w.:-]{1,100}$/.test(name) || name === LOCAL) {
    const message = 'is no name for a context';
    throw fieldError('request_invalid', {
      path: '--name',
      message,
      value: name,
      remedy: 'Use letters, digits, . : _ -.',
    });
  }
  const token = await context.readSecret?.();
  if (token === undefined) throw new ClipyardError('request_invalid', 'Nobody is there to ask for a token.');
  const caller = await new Client({}, { url: server, token }).access.whoAmI({ signal });
  const { contexts } = await readContexts(config.contextsFile);
  await writeContexts(config.contextsFile, {
    current: name,
    contexts: { ...contexts, [name]: { url: server, token } },
  });
  if (isExposed(server)) terminal.err(`${server} is not encrypted: whoever is on the way can read the token`);
  const where = caller.project === null ? 'all projects' : `project ${caller.project}`;
  terminal.out(`logged in to ${server} as ${caller.name}: ${caller.scopes.at(-1)}, ${where}`);
  return EXIT.ok;
}

const isExposed = (url: string): boolean =>
  url.startsWith('http:') && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);

export async function whoAmI(context: Context, options: ServerOptions): Promise<number> {
  const client = await clientOf(context, options);
  const { name, scopes, project, expiresAt } = await client.access.whoAmI({ signal: context.signal });
  const until = expiresAt === null ? '' : `, until ${expiresAt}`;
  context.terminal.out(
    options.json === true
      ? JSON.stringify({ url: client.url, name, scopes, project, expiresAt })
      : `${name} at ${client.url}: ${scopes.at(-1)}, ${project === null ? 'all projects' : `project ${project}`}${until}`,
  );
  return EXIT.ok;
}

export async function listContexts({ config, terminal }: Context, options: { json?: boolean }): Promise<number> {
  const { current, contexts } = await readContexts(config.contextsFile);
  const items = [
    { name: LOCAL, url: null, current: current === null },
    ...Object.entries(contexts).map(([name, { url }]) => ({ name, url, current: name === current })),
  ];
  if (options.json === true) terminal.out(JSON.stringify({ items }));
  else {
    const rows = items.map((item) => [item.current ? '*' : '', item.name, item.url ?? 'the server of this checkout']);
    for (const line of formatTable(['', 'CONTEXT', 'SERVER'], rows)) terminal.out(line);
  }
  return EXIT.ok;
}

export async function useContext({ config, terminal }: Context, name: string): Promise<number> {
  const kept = await readContexts(config.contextsFile);
  if (name !== LOCAL && !Object.hasOwn(kept.contexts, name)) throw unknown(name, Object.keys(kept.contexts));
  await writeContexts(config.contextsFile, { ...kept, current: name === LOCAL ? null : name });
  terminal.out(`commands go to ${name === LOCAL ? 'the server of this checkout' : kept.contexts[name]!.url}`);
  return EXIT.ok;
}

/** Forgets a server and its token, which stays valid. */
export async function removeContext({ config, terminal }: Context, name: string): Promise<number> {
  const { current, contexts } = await readContexts(config.contextsFile);
  if (!Object.hasOwn(contexts, name)) throw unknown(name, Object.keys(contexts));
  const { [name]: _, ...others } = contexts;
  await writeContexts(config.contextsFile, { current: current === name ? null : current, contexts: others });
  terminal.out(`forgot ${name}`);
  return EXIT.ok;
}

function unknown(name: string, known: readonly string[]): Error {
  return fieldError('request_invalid', {
    path: 'name',
    message: 'is no context',
    value: name,
    remedy: `There are: ${[LOCAL, ...known].join(', ')}; \`clipyard login\` makes one.`,
  });
}
