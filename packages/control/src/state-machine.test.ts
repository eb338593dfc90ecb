import {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  JOB_STATES,
  JOB_TRANSITIONS,
  RANK_STATES,
  RANK_TRANSITIONS,
} from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { assertAttemptTransition, assertJobTransition, assertRankTransition } from './state-machine.js';

function everyPair<S extends string>(states: readonly S[]): [S, S][] {
  return states.flatMap((from) => states.map((to): [S, S] => [from, to]));
}

describe('state machines', () => {
  const machines = [
    ['job', JOB_STATES, JOB_TRANSITIONS, assertJobTransition],
    ['attempt', ATTEMPT_STATES, ATTEMPT_TRANSITIONS, assertAttemptTransition],
    ['rank', RANK_STATES, RANK_TRANSITIONS, assertRankTransition],
  ] as unknown as [string, string[], Record<string, string[]>, (from: string, to: string) => void][];

  it.each(machines)(
    'of a %s takes the legal moves and refuses every other pair',
    (_kind, states, transitions, check) => {
      const pairs = everyPair(states);
      expect(pairs).toHaveLength(states.length ** 2);
      for (const [from, to] of pairs) {
        if (transitions[from]!.includes(to)) check(from, to);
        else
          expect(() => check(from, to), `${from} to ${to}`).toThrow(
            expect.objectContaining({
              code: 'job_state_conflict',
              fields: [{ path: 'state', message: expect.any(String), value: from, remedy: expect.any(String) }],
            }),
          );
      }
    },
  );

  it.each(machines)('of a %s can end from every state, and leaves no final state', (_kind, states, transitions) => {
    const finals = states.filter((state) => transitions[state]!.length === 0);
    expect(finals.length).toBeGreaterThan(0);
    for (const state of states) {
      const reached = new Set([state]);
      for (const at of reached) for (const to of transitions[at]!) reached.add(to);
      expect(
        finals.some((final) => reached.has(final)),
        state,
      ).toBe(true);
    }
  });
});
