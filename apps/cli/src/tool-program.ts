import { Argument, type Command, Option } from 'commander';
import { collect } from './arguments.js';
import { API_METHODS, api } from './commands/api.js';
import { completionScript, SHELLS } from './completion/scripts.js';
import { wordsOf } from './completion/words.js';
import type { Context } from './context.js';
import { EXIT } from './exit-codes.js';

// They load engines, the database or the decoder of pictures.
const loadDoctor = () => import('./commands/doctor.js');
const loadInit = () => import('./commands/init.js');

/** The commands around all others; `server` adds the options of those that talk to one. */
export function toolCommands(
  program: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: (code: number) => void,
): void {
  program
    .command('init')
    .description('look at data and write a commented run spec for it, which can be submitted as it is')
    .argument('<data>', 'folder of pictures with captions, folder of shards, .tar, .csv or .tsv; or `shapes`')
    .option('--out <file>', 'file to write; there must be none yet', 'clipyard.yaml')
    .option('--name <name>', 'name of the run (default: that of the data)')
    .option('--json', 'print JSON')
    .action(async (data, options) => finish(await (await loadInit()).init(context, data, options)));
  server(program.command('doctor'))
    .description('look at all that is needed: Node.js, memory, disk, engines, GPU, stores, port, server, clocks')
    .action(async (options) => finish(await (await loadDoctor()).doctor(context, options)));
  server(program.command('api').argument('<path>', 'such as /v1/jobs?limit=5; docs/reference/rest.md has them all'))
    .description('send a request to any route of the server and print the answer')
    .addOption(new Option('-X, --method <method>', 'default: GET, with --body POST').choices([...API_METHODS]))
    .option('--body <body>', 'JSON or YAML, or @file')
    .option('--header <header>', 'name: value; may be given often', collect, [] as string[])
    .option('--out <file>', 'write the answer to a new file, byte by byte')
    .action(async (path, options) => finish(await api(context, path, options)));
  program
    .command('completion')
    .description('print a script by which a shell completes commands and options')
    .addArgument(new Argument('<shell>', 'which shell').choices([...SHELLS]))
    .action((shell) => {
      context.terminal.out(completionScript(shell, wordsOf(program)).trimEnd());
      finish(EXIT.ok);
    });
}
