/** Powers of ten that the search begins with, and its last step: eight a decade. */
const FIRST_EXPONENTS = [-6, -4, -2, 0, 2, 4, 6];
const LAST_STEP = 1 / 8;

export interface StrengthScore {
  readonly accuracy: number;
  /** Mean cross-entropy, which decides between equal accuracies. */
  readonly crossEntropy: number;
}

export interface TriedStrength extends StrengthScore {
  readonly strength: number;
}

/**
 * The search for the L2 strength of CLIP's linear probes (arXiv 2103.00020, appendix A.3): 10^-6 to 10^6 in steps of two
 * decades, then halving the interval around the peak down to eight steps a decade. Returns the best and all that were tried.
 */
export async function sweepStrength(
  score: (strength: number) => Promise<StrengthScore>,
): Promise<{ best: TriedStrength; tried: readonly TriedStrength[] }> {
  const tried = new Map<number, TriedStrength>();
  let peak = 0;
  const look = async (exponents: readonly number[]): Promise<void> => {
    for (const exponent of exponents) {
      if (tried.has(exponent) || Math.abs(exponent) > 6) continue;
      const strength = 10 ** exponent;
      tried.set(exponent, { strength, ...(await score(strength)) });
    }
    for (const [exponent, found] of tried) if (better(found, tried.get(peak)!)) peak = exponent;
  };
  // From strong to weak, so that each fit begins near the solution of the one before.
  await look([...FIRST_EXPONENTS].reverse());
  for (let step = 1; step >= LAST_STEP; step /= 2) await look([peak + step, peak - step]);
  return { best: tried.get(peak)!, tried: [...tried.values()].sort((a, b) => a.strength - b.strength) };
}

const better = (a: StrengthScore, b: StrengthScore): boolean =>
  a.accuracy === b.accuracy ? a.crossEntropy < b.crossEntropy : a.accuracy > b.accuracy;
