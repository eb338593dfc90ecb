import type { ReactNode } from 'react';

/** What each state of a job, attempt, rank, node, sweep or trial says to the eye. */
const TONES: Readonly<Record<string, string>> = {
  running: 'live',
  training: 'live',
  evaluating: 'live',
  compiling: 'live',
  connecting: 'live',
  launching: 'live',
  starting: 'live',
  pausing: 'hold',
  paused: 'hold',
  draining: 'hold',
  stopping: 'hold',
  recovering: 'warn',
  succeeded: 'good',
  completed: 'good',
  ready: 'good',
  failed: 'bad',
  lost: 'bad',
};

export function StateBadge({ state, children }: { state: string; children?: ReactNode }) {
  return (
    <span className={`state tone-${TONES[state] ?? 'idle'}`} data-state={state}>
      {state}
      {children}
    </span>
  );
}
