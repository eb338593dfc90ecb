import { SCOPES } from '@clipyard/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { positiveNumber } from './arguments.js';
import { listContexts, login, removeContext, useContext, whoAmI } from './commands/login.js';
import { audit, createToken, listTokens, revokeToken } from './commands/tokens.js';
import type { Context } from './context.js';

type Finish = (code: number) => void;

/** Who one is, at which server; `server` adds the options of commands that talk to one. */
export function accessCommands(
  program: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: Finish,
): void {
  program
    .command('login')
    .description('keep a token for a server, and use that server from now on; the token is typed, or piped in')
    .argument('[url]', 'of the server (default: the one that commands talk to)')
    .option('--name <name>', 'of the context (default: host and port)')
    .action(async (url, options) => finish(await login(context, url, options)));
  server(program.command('whoami'))
    .description('show who the server takes us for')
    .action(async (options) => finish(await whoAmI(context, options)));
  server(program.command('audit'))
    .description('list who changed what, newest first')
    .option('--actor <actor>', 'name or id of a token')
    .option('--action <action>', 'id of the operation, such as submitJob')
    .option('--target <id>', 'of what was changed')
    .option('--project <project>', 'only of this project')
    .option('--since <time>', 'ISO 8601, in UTC')
    .option('--until <time>', 'ISO 8601, in UTC')
    .option('--limit <n>', 'at most so many', positiveNumber, 50)
    .action(async (options) => finish(await audit(context, options)));
}

export function tokenCommands(
  token: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: Finish,
): void {
  server(token.command('create'))
    .description('make a token and print it, this once')
    .requiredOption('--name <name>', 'says in the audit log who did something')
    .requiredOption('--scopes <list>', `with commas, of ${SCOPES.join(', ')}; each includes those before it`, scopes)
    .option('--project <project>', 'the only one whose jobs it sees (default: `default`)')
    .addOption(new Option('--all-projects', 'it sees all').conflicts('project'))
    .option('--expires <span>', 'such as 30d, 12h or never (default: 90d)')
    .option('--database', 'write it to DATABASE_URL rather than ask the API: for the first one')
    .action(async (options) => finish(await createToken(context, options)));
  server(token.command('ls'))
    .description('list tokens, newest first')
    .action(async (options) => finish(await listTokens(context, options)));
  server(token.command('revoke').argument('<id>', 'of the token'))
    .description('revoke a token, at once and for good')
    .action(async (id, options) => finish(await revokeToken(context, id, options)));
}

export function contextCommands(context: Command, cli: Context, finish: Finish): void {
  context
    .command('ls')
    .description('list the servers that were logged in to')
    .option('--json', 'print JSON')
    .action(async (options) => finish(await listContexts(cli, options)));
  context
    .command('use')
    .description('send commands to another server')
    .argument('<name>', 'of the context; `local` is the server of this checkout')
    .action(async (name) => finish(await useContext(cli, name)));
  context
    .command('rm')
    .description('forget a server and its token')
    .argument('<name>', 'of the context')
    .action(async (name) => finish(await removeContext(cli, name)));
}

function scopes(text: string): (typeof SCOPES)[number][] {
  return text.split(',').map((name) => {
    const scope = SCOPES.find((candidate) => candidate === name.trim());
    if (scope === undefined) throw new InvalidArgumentError(`It must be of ${SCOPES.join(', ')}.`);
    return scope;
  });
}
