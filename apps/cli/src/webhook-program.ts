import { WEBHOOK_EVENTS } from '@clipyard/contracts';
import { Argument, type Command, Option } from 'commander';
import { collect, wholeNumber } from './arguments.js';
import {
  createWebhook,
  listDeliveries,
  listWebhooks,
  pingWebhook,
  redeliver,
  removeWebhook,
  setActive,
} from './commands/webhooks.js';
import type { Context } from './context.js';

/** The commands below `webhook`; `server` adds the options of those that talk to one. */
export function webhookCommands(
  webhook: Command,
  server: (command: Command) => Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const id = () => new Argument('<webhook>', 'id of the webhook');
  server(webhook.command('create').argument('<url>', 'where messages are posted to'))
    .description('have events posted to a URL; prints the secret of their signatures')
    .addOption(
      new Option('--event <type...>', 'types of events (default: job.state)')
        .choices(WEBHOOK_EVENTS)
        .default([] as string[], 'job.state'),
    )
    .option('--label <key=value>', 'that a job must have; may be given often', collect, [] as string[])
    .option('--project <project>', 'of whose jobs it is told')
    .action(async (url, options) => finish(await createWebhook(context, url, options)));
  server(webhook.command('ls'))
    .description('list webhooks, newest first')
    .action(async (options) => finish(await listWebhooks(context, options)));
  server(webhook.command('on').addArgument(id()))
    .description('switch a webhook on, also one that was switched off because it failed')
    .action(async (hook, options) => finish(await setActive(true, context, hook, options)));
  server(webhook.command('off').addArgument(id()))
    .description('switch a webhook off')
    .action(async (hook, options) => finish(await setActive(false, context, hook, options)));
  server(webhook.command('rm').addArgument(id()))
    .description('remove a webhook')
    .action(async (hook, options) => finish(await removeWebhook(context, hook, options)));
  server(webhook.command('ping').addArgument(id()))
    .description('send a message that only tries whether messages arrive')
    .action(async (hook, options) => finish(await pingWebhook(context, hook, options)));
  server(webhook.command('deliveries').addArgument(id()))
    .description('list what was sent, newest first, and how it went')
    .option('--limit <n>', 'at most so many', wholeNumber, 20)
    .action(async (hook, options) => finish(await listDeliveries(context, hook, options)));
  server(webhook.command('redeliver').addArgument(id()).argument('<delivery>', 'id of the delivery'))
    .description('send a message again')
    .action(async (hook, delivery, options) => finish(await redeliver(context, hook, delivery, options)));
}
