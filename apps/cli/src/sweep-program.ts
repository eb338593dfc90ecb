import { SWEEP_STATES } from '@clipyard/contracts';
import { Argument, type Command, Option } from 'commander';
import { collect, wholeNumber } from './arguments.js';
import { actOnSweep, exportSweep, listSweeps, showSweep, submitSweep, watchOne } from './commands/sweeps.js';
import type { Context } from './context.js';

/** The commands below `sweep`; `server` adds the options of those that talk to one. */
export function sweepCommands(
  sweep: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const id = () => new Argument('<sweep>', 'id of the sweep');
  server(sweep.command('submit').argument('<spec>', 'sweep spec, YAML or JSON'))
    .description('submit a sweep spec: a search for the best values of fields of a run spec')
    .option('--watch', 'follow it to its end')
    .option(
      '--set <path=value>',
      'change a field, such as maxConcurrent=4; may be given often',
      collect,
      [] as string[],
    )
    .action(async (file, options) => finish(await submitSweep(context, file, options)));
  server(sweep.command('ls'))
    .description('list sweeps, newest first')
    .addOption(new Option('--state <state>', 'only sweeps in this state').choices(SWEEP_STATES))
    .option('--limit <n>', 'at most so many', wholeNumber, 20)
    .action(async (options) => finish(await listSweeps(context, options)));
  server(sweep.command('show').addArgument(id()))
    .description('show a sweep and its trials, the best first')
    .action(async (sweepId, options) => finish(await showSweep(context, sweepId, options)));
  server(sweep.command('watch').addArgument(id()))
    .description('follow a sweep to its end')
    .action(async (sweepId, options) => finish(await watchOne(context, sweepId, options)));
  server(sweep.command('pause').addArgument(id()))
    .description('start and promote no trial, and pause those that run')
    .action(async (sweepId, options) => finish(await actOnSweep('pause', context, sweepId, options)));
  server(sweep.command('resume').addArgument(id()))
    .description('go on with a paused sweep')
    .action(async (sweepId, options) => finish(await actOnSweep('resume', context, sweepId, options)));
  server(sweep.command('cancel').addArgument(id()))
    .description('end a sweep and cancel its jobs')
    .action(async (sweepId, options) => finish(await actOnSweep('cancel', context, sweepId, options)));
  sweep
    .command('export')
    .addArgument(id())
    .description('print the trials that came to a result, as data for parallel coordinates')
    .addOption(new Option('--format <format>', 'csv, or json with the axes').choices(['csv', 'json']).default('csv'))
    .option('--url <url>', 'server to talk to')
    .action(async (sweepId, options) => finish(await exportSweep(context, sweepId, options)));
  server(sweep.command('scale-up').addArgument(id()))
    .description('make a run spec for a larger model from the best trial')
    .requiredOption('--preset <preset>', 'the larger model, such as ViT-B-32')
    .option('--trial <n>', 'this trial instead of the best', wholeNumber)
    .option('--batch <n>', 'global batch (default: that of the trial)', wholeNumber)
    .option('--epochs <n>', 'duration in epochs (default: that of the trial)', wholeNumber)
    .option('--name <name>', 'name of the run')
    .option('--set <path=value>', 'change a field besides; may be given often', collect, [] as string[])
    .option('--submit', 'submit it too')
    .action(async (sweepId, options) => {
      const { scaleUpCommand } = await import('./commands/scale-up.js');
      finish(await scaleUpCommand(context, sweepId, options));
    });
}
