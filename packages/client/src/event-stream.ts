import { ClipyardError, type JobEvent, jobEventSchema } from '@clipyard/contracts';
import { backoff, sleep } from '@clipyard/runtime';
import { createParser } from 'eventsource-parser';
import { bodyChunks } from './body-chunks.js';
import type { Transport } from './transport.js';

/** Longest event that a client takes, characters. */
const MAX_EVENT_CHARS = 8 << 20;

export interface EventStreamOptions {
  /** Without any byte for this long the connection counts as dead, ms; the server sends a comment every 15 s. */
  readonly silenceMs: number;
  /** Wait before the first reconnection, ms; it doubles up to `maxDelayMs`. */
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
  /** Without contact for this long the stream ends with `server_unreachable`, ms. */
  readonly giveUpMs: number;
}

/**
 * The events of a job after id `after`, in order, each once: reconnects with `Last-Event-ID` until the job has ended.
 * Throws the server's coded error, `server_unreachable`, or the signal's reason.
 */
export async function* eventStream(
  transport: Transport,
  jobId: string,
  request: { readonly after?: string; readonly metrics?: 'all' | 'live'; readonly signal?: AbortSignal },
  options: EventStreamOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  let lastId = request.after;
  const delays = backoff({ initialMs: options.initialDelayMs, maxMs: options.maxDelayMs });
  let lostAt = performance.now();
  for (;;) {
    request.signal?.throwIfAborted();
    try {
      for await (const message of connection(transport, jobId, { ...request, after: lastId }, options)) {
        delays.reset();
        lostAt = performance.now();
        if (message === 'alive') continue;
        if (message === 'end') return;
        lastId = message.id;
        yield message;
      }
    } catch (error) {
      request.signal?.throwIfAborted();
      const coded = ClipyardError.from(error);
      if (!coded.retryable || performance.now() - lostAt > options.giveUpMs) throw coded;
    }
    await sleep(delays.next(), request);
  }
}

/** One connection: its events, `alive` for whatever else arrives, `end` when the server says that nothing follows. */
async function* connection(
  transport: Transport,
  jobId: string,
  {
    after,
    metrics,
    signal,
  }: { after: string | undefined; metrics?: 'all' | 'live' | undefined; signal?: AbortSignal | undefined },
  options: EventStreamOptions,
): AsyncGenerator<JobEvent | 'alive' | 'end', void, undefined> {
  const silence = new AbortController();
  const fallSilent = () => silence.abort(new ClipyardError('server_unreachable', 'the event stream fell silent'));
  let timer = setTimeout(fallSilent, options.silenceMs);
  const either = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  try {
    const response = await transport.open(`/v1/jobs/${encodeURIComponent(jobId)}/events`, {
      headers: { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) },
      query: { metrics },
      signal: either,
    });
    if (response.status === 204 || response.body === null) {
      yield 'end';
      return;
    }
    const arrived: (JobEvent | 'end')[] = [];
    const parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onEvent: (message) =>
        arrived.push(message.event === 'end' ? 'end' : jobEventSchema.parse(JSON.parse(message.data))),
    });
    const decoder = new TextDecoder();
    for await (const chunk of bodyChunks(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(fallSilent, options.silenceMs);
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield 'alive';
      yield* arrived.splice(0);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ClipyardError) throw error;
    // A connection that breaks in mid-stream surfaces as a bare TypeError of fetch.
    if (error instanceof TypeError)
      throw new ClipyardError('server_unreachable', `the event stream broke: ${error.message}`, { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
