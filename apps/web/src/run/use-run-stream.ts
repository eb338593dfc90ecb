import { ClipyardError, type JobEvent } from '@clipyard/contracts';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { server } from '../server/server.js';

/** A value that came live, with the time at which it came. */
export interface LivePoint {
  readonly step: number;
  readonly value: number;
  readonly at: number;
}

export interface RunStream {
  /** All but those with metrics, oldest first. */
  readonly events: readonly JobEvent[];
  readonly live: ReadonlyMap<string, readonly LivePoint[]>;
  /** Whether events have come, so that what is read from now on has no gap to what comes live. */
  readonly open: boolean;
  readonly error: ClipyardError | undefined;
}

const NOTHING: RunStream = { events: [], live: new Map(), open: false, error: undefined };
/** Events are shown together that come within this time, ms. */
const GATHER_MS = 200;
/** Live points of one metric that are kept; older ones are in the store by then. */
const MOST_LIVE = 5000;
/** Events that are kept for the time line. */
const MOST_EVENTS = 2000;

/** The events of a job: what happened so far and what happens, without the metrics that are stored already. */
export function useRunStream(jobId: string): RunStream {
  const [stream, setStream] = useState(NOTHING);
  const queries = useQueryClient();
  useEffect(() => {
    const ended = new AbortController();
    let gathered: JobEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      const batch = gathered;
      gathered = [];
      setStream((before) => advanced(before, batch, Date.now()));
      if (batch.some(({ type }) => type !== 'metrics')) void queries.invalidateQueries({ queryKey: ['job', jobId] });
    };
    const read = async () => {
      for await (const event of server.events(jobId, { metrics: 'live', signal: ended.signal })) {
        gathered.push(event);
        timer ??= setTimeout(show, GATHER_MS);
      }
      setStream((before) => ({ ...before, open: true }));
    };
    read().catch((error: unknown) => {
      if (!ended.signal.aborted) setStream((before) => ({ ...before, open: true, error: ClipyardError.from(error) }));
    });
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [jobId, queries]);
  return stream;
}

export function advanced(before: RunStream, batch: readonly JobEvent[], at: number): RunStream {
  const live = new Map(before.live);
  const events: JobEvent[] = [];
  for (const event of batch) {
    if (event.type !== 'metrics') {
      events.push(event);
      // A new attempt goes back to a checkpoint: what came after it is trained again.
      if (event.type === 'plan') live.clear();
      if (event.type !== 'evaluation') continue;
    }
    const { step, values } = event.data as { step: number; values: Readonly<Record<string, number>> };
    for (const [name, value] of Object.entries(values))
      live.set(name, [...(live.get(name) ?? []), { step, value, at }].slice(-MOST_LIVE));
  }
  return { ...before, open: true, live, events: [...before.events, ...events].slice(-MOST_EVENTS) };
}
