import { Readable } from 'node:stream';
import { isFinalJobState, type JobEvent, OPERATIONS } from '@clipyard/contracts';
import { LOCAL } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { resumeAfter } from '../request-input.js';
import { type Call, serve } from '../serve.js';

/** Time to find out whether anything follows on a job that has ended, ms: its evaluations may take long. */
const FIRST_EVENT_MS = 5000;

/** Life of the event stream of a token, ms; clients resume by themselves, without gap or repetition. */
const STREAM_LIMIT_MS = 300_000;

export interface EventRouteDeps {
  /** Ends every stream: the clients resume at another server. */
  readonly draining: AbortSignal;
}

/**
 * `GET /v1/jobs/:id/events`: server-sent events. It ends with an `end` event when the job has ended; a client that asks
 * again gets 204, which stops an EventSource. Events are pulled from the store as fast as the client reads, so a slow
 * one holds no backlog in memory.
 */
export function eventRoutes(server: FastifyInstance, deps: EventRouteDeps, options: { heartbeatMs: number }): void {
  const handle = async ({ control, params, query, request, reply }: Call<typeof OPERATIONS.streamEvents>) => {
    const after = resumeAfter(request, query.after);
    const job = await control.getJob(params.id);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    // A token may be revoked meanwhile: the client comes again, and is asked again.
    const renewal = AbortSignal.timeout(STREAM_LIMIT_MS);
    const signal = AbortSignal.any([
      gone.signal,
      deps.draining,
      ...(request.behalf?.caller === LOCAL ? [] : [renewal]),
    ]);
    const events = control
      .events(job.id, { ...(after === undefined ? {} : { after }), metrics: query.metrics, signal })
      [Symbol.asyncIterator]();
    const first = events.next();
    // Whoever reads the stream hears of it; a client that is gone by then reads nothing.
    first.catch(() => {});
    if (isFinalJobState(job.state) && (await withinMs(first, FIRST_EVENT_MS))?.done === true)
      return reply.code(204).send();
    reply
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .type('text/event-stream; charset=utf-8');
    return reply.send(Readable.from(frames(events, first, signal, options.heartbeatMs), { objectMode: false }));
  };
  serve(server, OPERATIONS.streamEvents, handle, { exposeHeadRoute: false });
}

async function* frames(
  events: AsyncIterator<JobEvent>,
  first: Promise<IteratorResult<JobEvent>>,
  signal: AbortSignal,
  heartbeatMs: number,
): AsyncGenerator<string, void, undefined> {
  let next = first;
  try {
    // Sent at once, so that the client sees the connection open before the first event.
    yield 'retry: 1000\n\n';
    for (;;) {
      const result = await withinMs(next, heartbeatMs);
      if (result === undefined) {
        yield ': heartbeat\n\n';
      } else if (result.done === true) {
        if (!signal.aborted) yield 'event: end\ndata: {}\n\n';
        return;
      } else {
        const event = result.value;
        yield `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
        next = events.next();
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await events.return?.();
  }
}

/** The value of the promise, or undefined when it takes longer. */
async function withinMs<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
