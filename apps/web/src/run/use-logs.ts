import { ClipyardError, type LogLevel, type LogLine } from '@clipyard/contracts';
import { useCallback, useEffect, useRef, useState } from 'react';
import { server } from '../server/server.js';

export interface LogFilter {
  readonly level: LogLevel;
  readonly rank: number | undefined;
  /** Words that lines must have; empty: none. */
  readonly text: string;
}

interface Logs {
  /** Oldest first. */
  readonly lines: readonly LogLine[];
  /** Where older lines go on; null: these are all. */
  readonly older: string | null;
  readonly pending: boolean;
  readonly error?: ClipyardError;
}

const PAGE = 500;
/** Lines that are kept; older ones go. */
const MOST_LINES = 5000;
/** Time between two looks for more lines, ms. */
const POLL_MS = 2000;
const NOTHING: Logs = { lines: [], older: null, pending: true };

/** The newest log lines of a job, those that come, and older ones when they are asked for. */
export function useLogs(jobId: string, { level, rank, text }: LogFilter): Logs & { loadOlder(): void } {
  const [logs, setLogs] = useState(NOTHING);
  const over = useRef(new AbortController());
  const query = {
    limit: PAGE,
    level,
    ...(rank === undefined ? {} : { rank }),
    ...(text === '' ? {} : { text }),
  };
  const current = useRef(query);
  current.current = query;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the query follows from these
  useEffect(() => {
    const ended = new AbortController();
    const { signal } = ended;
    over.current = ended;
    let newest: string | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    setLogs(NOTHING);
    const look = async (): Promise<void> => {
      try {
        if (newest === undefined) {
          const { items, nextCursor } = await server.logs(jobId, { ...query, order: 'newest' }, { signal });
          newest = items[0]?.id;
          setLogs({ lines: items.toReversed(), older: nextCursor, pending: false });
        } else {
          // The id of a line is the cursor of what follows it.
          const { items } = await server.logs(jobId, { ...query, cursor: newest }, { signal });
          newest = items.at(-1)?.id ?? newest;
          if (items.length > 0)
            setLogs((before) => ({ ...before, lines: [...before.lines, ...items].slice(-MOST_LINES) }));
        }
      } catch (error) {
        if (signal.aborted) return;
        const coded = ClipyardError.from(error);
        if (!coded.retryable) {
          setLogs((before) => ({ ...before, pending: false, error: coded }));
          return;
        }
      }
      timer = setTimeout(look, POLL_MS);
    };
    void look();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [jobId, level, rank, text]);

  const loadOlder = useCallback(() => {
    const { signal } = over.current;
    const { older } = logs;
    if (older === null) return;
    setLogs((before) => ({ ...before, older: null }));
    server.logs(jobId, { ...current.current, order: 'newest', cursor: older }, { signal }).then(
      ({ items, nextCursor }) =>
        setLogs((before) => ({
          ...before,
          lines: [...items.toReversed(), ...before.lines].slice(0, MOST_LINES),
          older: nextCursor,
        })),
      (error: unknown) => {
        if (!signal.aborted) setLogs((before) => ({ ...before, older, error: ClipyardError.from(error) }));
      },
    );
  }, [jobId, logs]);

  return { ...logs, loadOlder };
}
