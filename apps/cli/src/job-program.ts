import { Argument, type Command } from 'commander';
import { collect, wholeNumber } from './arguments.js';
import { edit, fork, remove } from './commands/job-changes.js';
import { act } from './commands/jobs.js';
import { drain, undrain } from './commands/nodes.js';
import { queue } from './commands/queue.js';
import type { Context } from './context.js';

/** The commands on jobs and nodes that exist; `server` adds the options of those that talk to one. */
export function jobCommands(
  program: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const job = () => new Argument('<job>', 'id of the job');
  const node = () => new Argument('<node>', 'name or id of the node');
  const set = (command: Command) =>
    command.option('--set <path=value>', 'change a field of the spec; may be given often', collect, [] as string[]);

  server(program.command('cancel').addArgument(job()))
    .description('cancel a job')
    .action(async (id, options) => finish(await act('cancel', context, id, options)));
  server(program.command('pause').addArgument(job()))
    .description('stop a job with a checkpoint, to go on later; its slots come free')
    .action(async (id, options) => finish(await act('pause', context, id, options)));
  server(program.command('resume').addArgument(job()))
    .description('go on with a paused job')
    .action(async (id, options) => finish(await act('resume', context, id, options)));
  server(program.command('retry').addArgument(job()))
    .description('queue a job that failed or was cancelled; it goes on from its newest checkpoint')
    .action(async (id, options) => finish(await act('retry', context, id, options)));
  set(server(program.command('fork').argument('<source>', 'a job, or job@step')))
    .description('submit a new job from a checkpoint, with changed fields')
    .option('--resume', 'go on where the checkpoint was taken, with the optimizer state, not from its weights alone')
    .option('--name <name>', 'name of the new job (default: <name>-fork)')
    .option('--watch', 'follow it to its end')
    .action(async (source, options) => finish(await fork(context, source, options)));
  server(program.command('edit').addArgument(job()))
    .description('change name, labels or priority of a job')
    .option('--name <name>', 'new name')
    .option('--priority <n>', '0 to 100; higher runs first', wholeNumber)
    .option('--label <key=value>', 'label to set; may be given often', collect, [] as string[])
    .option('--remove-label <key>', 'label to remove; may be given often', collect, [] as string[])
    .action(async (id, options) => finish(await edit(context, id, options)));
  server(program.command('rm').argument('<jobs...>', 'ids of jobs that have ended'))
    .description('remove jobs with their checkpoints, metrics and logs')
    .action(async (ids, options) => finish(await remove(context, ids, options)));
  server(program.command('queue'))
    .description('list the jobs that wait for slots, in their order, and what each waits for')
    .option('--pool <pool>', 'only those of this pool')
    .option('--limit <n>', 'at most so many', wholeNumber, 50)
    .action(async (options) => finish(await queue(context, options)));
  server(program.command('drain').addArgument(node()))
    .description('give a node no new ranks, until it is undrained')
    .option('--evict', 'have its jobs write a checkpoint and go on elsewhere')
    .action(async (name, options) => finish(await drain(context, name, options)));
  server(program.command('undrain').addArgument(node()))
    .description('give a node ranks again')
    .action(async (name, options) => finish(await undrain(context, name, options)));
}
