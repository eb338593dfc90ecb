import type { JobEvent } from '@clipyard/contracts';

/** A stretch of time in one state, ms since 1970. */
export interface Span {
  readonly state: string;
  readonly from: number;
  readonly to: number;
}

/** The states that a job, or one attempt of it, went through; the last goes on until `end`. */
export function spansOf(events: readonly Pick<JobEvent, 'at' | 'data'>[], end: number): Span[] {
  return events.map(({ at, data }, i) => ({
    state: String(data.to),
    from: Date.parse(at),
    to: i + 1 < events.length ? Date.parse(events[i + 1]!.at) : end,
  }));
}
