import type { TrialResult, TrialState } from '@clipyard/contracts';
import type { TrialRow } from '@clipyard/db';
import type { Standing } from './promotion.js';

/** What decides about a trial, from its row. */
export const standingOf = ({ index, state, rung, results }: TrialRow): Standing => ({
  index,
  state: state as TrialState,
  rung,
  results: results as unknown as readonly TrialResult[],
});
