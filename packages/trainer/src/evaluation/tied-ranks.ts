/**
 * Ranks with ties counted honestly: every figure is its expectation when equal scores come in random order. So it does
 * not depend on the order of candidates, and a collapsed model, for which all of them tie, scores what chance gives.
 */
export interface TiedRank {
  /** Candidates that score higher than the best right one. */
  readonly above: number;
  /** Right and wrong candidates with the very score of the best right one; at least one is right. */
  readonly tiedRight: number;
  readonly tiedWrong: number;
}

/** Where the right candidates (indices, at least one) stand among all by their scores. NaN is lower than any number. */
export function tiedRank(scores: ArrayLike<number>, right: ArrayLike<number>): TiedRank {
  let best = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < right.length; i++) if (scores[right[i]!]! > best) best = scores[right[i]!]!;
  // Only now may a NaN tie.
  const ties = (score: number): boolean => score === best || (best === Number.NEGATIVE_INFINITY && Number.isNaN(score));
  let above = 0;
  let tied = 0;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! > best) above++;
    else if (ties(scores[i]!)) tied++;
  }
  let tiedRight = 0;
  for (let i = 0; i < right.length; i++) if (ties(scores[right[i]!]!)) tiedRight++;
  return { above, tiedRight, tiedWrong: tied - tiedRight };
}

/** The expected rank of the first right candidate, from 1. */
export const expectedRank = ({ above, tiedRight, tiedWrong }: TiedRank): number =>
  above + 1 + tiedWrong / (tiedRight + 1);

/** The probability that a right candidate is among the first `depth`. */
export function hitProbability({ above, tiedRight, tiedWrong }: TiedRank, depth: number): number {
  const places = depth - above;
  if (places <= 0) return 0;
  if (places > tiedWrong) return 1;
  let miss = 1;
  for (let i = 0; i < places; i++) miss *= (tiedWrong - i) / (tiedWrong + tiedRight - i);
  return 1 - miss;
}
