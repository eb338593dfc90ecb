import { createGroup, type LinkGroup } from '@clipyard/collectives';
import {
  type CheckpointRecord,
  ClipyardError,
  type LogLevel,
  type RankReport,
  type RankStart,
} from '@clipyard/contracts';
import { type OnCompile, openEngine } from '@clipyard/engine';
import { type Deferred, deferred, Lifecycle } from '@clipyard/runtime';
import { openBlobStore, s3Roots } from '@clipyard/storage';
import { evaluateRun, train } from '@clipyard/trainer';
import { connectRanks, TcpListener } from '@clipyard/transport';
import { nextMessage, type RankChannel } from './rank-channel.js';

type MetricsReport = Extract<RankReport, { type: 'metrics' }>;

/** Limit of one collective: ranks may be apart by a compilation or the reading of a large index, not by more. */
const COLLECTIVE_TIMEOUT_MS = 10 * 60_000;
/** A collective that waits this long is reported, then again after each such time, ms. */
const WAITING_REPORT_MS = 30_000;

/**
 * The life of one rank process: meets the other ranks, trains, and says how it ended. Resolves with the exit code,
 * 0 when it finished or was told to stop; never rejects. `stop` aborts when the process is asked to end.
 */
export async function runRank(channel: RankChannel, stop: AbortController): Promise<number> {
  const lifecycle = new Lifecycle();
  try {
    const save = new AbortController();
    channel.on('stop', (message) => {
      const reason = new ClipyardError('cancelled', `The rank was stopped: ${message.reason}`);
      if (message.save) save.abort(reason);
      stop.abort(reason);
    });
    channel.send({ type: 'ready' });
    const { start } = await nextMessage(channel, 'start', stop.signal);
    const finished = await attend(channel, start, lifecycle, { signal: stop.signal, save: save.signal });
    await lifecycle.close();
    channel.send({ type: finished ? 'done' : 'stopped' });
    return 0;
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) {
      await lifecycle.close();
      channel.send({ type: 'stopped' });
      return 0;
    }
    // Said before the links close, so that the cause is known before its consequences on other ranks.
    channel.send({ type: 'failed', error: ClipyardError.from(error).serialize() });
    await closeQuietly(lifecycle, channel);
    return 1;
  } finally {
    await channel.flush();
  }
}

async function attend(
  channel: RankChannel,
  start: RankStart,
  lifecycle: Lifecycle,
  { signal, save }: { signal: AbortSignal; save: AbortSignal },
): Promise<boolean> {
  const log = logTo(channel);
  const listener = lifecycle.use('listener', await TcpListener.listen({ host: start.listenHost }));
  channel.send({ type: 'listening', host: start.advertiseHost, port: listener.port });
  const { peers } = await nextMessage(channel, 'peers', signal);
  const onRefused = ({ code, message }: ClipyardError) => log('warn', message, { code });
  const links = await connectRanks({ ...start, listener, peers, signal, onRefused });
  const { rank, worldSize } = start;
  const group = lifecycle.use('group', createGroup(links, { rank, worldSize, timeoutMs: COLLECTIVE_TIMEOUT_MS }));
  lifecycle.add('report of waiting', reportWaiting(group, log));

  channel.send({ type: 'state', state: 'compiling' });
  const store = await openBlobStore(start.storageUrl, { signal });
  const { enginesDir, threads, slot, spec } = start;
  const onCompile = reportCompiled(log);
  const place = { threads, slot, onCompile, ...(enginesDir === undefined ? {} : { enginesDir }) };
  const engine = lifecycle.use('engine', await openEngine({ engine: spec.resources.engine, ...place }));
  const recordCheckpoint = checkpointRecorder(channel);
  const dataRoots = s3Roots(start.dataS3 ?? '', 'CLIPYARD_DATA_S3');
  const report = (message: RankReport): void =>
    channel.send(message.type === 'metrics' ? withSentBytes(message, group.sentBytes) : message);
  const deps = { engine, group, store, dataRoots, log, recordCheckpoint, report };
  if (spec.type === 'evaluate') {
    await evaluateRun(deps, start, signal);
    return true;
  }
  return (await train(deps, { start, signal, save })).finished;
}

function withSentBytes(message: MetricsReport, sentBytes: number): MetricsReport {
  return { ...message, values: { ...message.values, 'rank/sent_mib': sentBytes / 2 ** 20 } };
}

/** Says of each program what it takes. */
function reportCompiled(log: ReturnType<typeof logTo>): OnCompile {
  return ({ program, cost, seconds, reused }) => {
    if (reused) return;
    log('info', `Compiled \`${program}\` in ${seconds.toFixed(2)} s`, {
      nodes: cost.nodes,
      gflop: Number((cost.flops / 1e9).toPrecision(3)),
      peakMib: Math.ceil(cost.peakBytes / 2 ** 20),
    });
  };
}

type Expired = readonly { step: number; prefix: string }[];

/** Asks the worker to record a checkpoint, and resolves with its answer. */
function checkpointRecorder(channel: RankChannel): (checkpoint: CheckpointRecord) => Promise<Expired> {
  const waiting = new Map<number, Deferred<Expired>>();
  channel.on('checkpoint.recorded', ({ step, expired }) => {
    waiting.get(step)?.resolve(expired);
    waiting.delete(step);
  });
  return (checkpoint) => {
    const answer = deferred<Expired>();
    waiting.set(checkpoint.step, answer);
    channel.send({ type: 'checkpoint', checkpoint });
    return answer.promise;
  };
}

const logTo =
  (channel: RankChannel) =>
  (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void =>
    channel.send({ type: 'log', level, at: Date.now(), message, ...(fields === undefined ? {} : { fields }) });

/** Reports a collective that makes no progress; returns a function that ends the watch. */
function reportWaiting(group: LinkGroup, log: ReturnType<typeof logTo>): () => void {
  let before: string | undefined;
  const timer = setInterval(() => {
    const { waiting } = group;
    if (waiting !== undefined && waiting === before) {
      log('warn', `No progress for ${WAITING_REPORT_MS / 1000} s or more in ${waiting}`);
    }
    before = waiting;
  }, WAITING_REPORT_MS);
  return () => clearInterval(timer);
}

async function closeQuietly(lifecycle: Lifecycle, channel: RankChannel): Promise<void> {
  try {
    await lifecycle.close();
  } catch (error) {
    logTo(channel)('warn', (error as Error).message);
  }
}
