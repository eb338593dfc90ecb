import { ClipyardError } from '@clipyard/contracts';
import { runRank } from './rank.js';
import { ProcessRankChannel } from './rank-channel.js';

// The process of one rank. Without its worker nobody records what it does, so it ends at once; a checkpoint that is half
// written has no manifest, and the next attempt removes it.
const channel = new ProcessRankChannel(process, () => process.exit(1));
const stop = new AbortController();

const fail = async (error: unknown): Promise<void> => {
  channel.send({ type: 'failed', error: ClipyardError.from(error).serialize() });
  await channel.flush();
  process.exit(1);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// Ctrl-C on a terminal reaches the worker too, which stops its ranks in order.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {
  if (stop.signal.aborted) process.exit(1);
  stop.abort(new ClipyardError('cancelled', 'The rank got SIGTERM'));
});

process.exit(await runRank(channel, stop));
