import { ClipyardError, type LogLevel, type LogLine } from '@clipyard/contracts';
import { useEffect, useState } from 'react';
import { server } from '../server/server.js';

export interface LogFilter {
  readonly level?: LogLevel;
  readonly rank?: number;
}

const PAGE = 500;
/** Lines that are kept; older ones go. */
export const MOST_LINES = 5000;
/** Time between two looks for more lines, ms. */
const POLL_MS = 2000;

/** The log lines of a job, oldest first, and those that come. */
export function useLogs(
  jobId: string,
  { level, rank }: LogFilter,
): { lines: readonly LogLine[]; error?: ClipyardError; pending: boolean } {
  const [state, setState] = useState<{ lines: readonly LogLine[]; error?: ClipyardError; pending: boolean }>({
    lines: [],
    pending: true,
  });
  useEffect(() => {
    const ended = new AbortController();
    const { signal } = ended;
    let cursor: string | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    setState({ lines: [], pending: true });
    const query = { limit: PAGE, ...(level === undefined ? {} : { level }), ...(rank === undefined ? {} : { rank }) };
    const look = async (): Promise<void> => {
      try {
        for (;;) {
          const { items, nextCursor } = await server.logs(jobId, cursor === undefined ? query : { ...query, cursor }, {
            signal,
          });
          // The id of a line is the cursor of what follows it.
          cursor = nextCursor ?? items.at(-1)?.id ?? cursor;
          if (items.length > 0)
            setState(({ lines }) => ({ lines: [...lines, ...items].slice(-MOST_LINES), pending: nextCursor !== null }));
          if (nextCursor === null) break;
        }
        setState((before) => ({ lines: before.lines, pending: false }));
      } catch (error) {
        if (signal.aborted) return;
        const coded = ClipyardError.from(error);
        setState((before) => ({ ...before, pending: false, ...(coded.retryable ? {} : { error: coded }) }));
        if (!coded.retryable) return;
      }
      timer = setTimeout(look, POLL_MS);
    };
    void look();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [jobId, level, rank]);
  return state;
}
