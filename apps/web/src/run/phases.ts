import type { Series } from '../charts/series.js';

/** The parts of a step, in the order in which they come. */
export const PHASES = [
  ['time/data_ms', 'data'],
  ['time/encode_ms', 'encode'],
  ['time/communicate_ms', 'communicate'],
  ['time/loss_ms', 'loss'],
  ['time/backward_ms', 'backward'],
  ['time/optimizer_ms', 'optimizer'],
] as const;

export interface PhaseShare {
  readonly phase: string;
  /** Mean over the steps, ms. */
  readonly ms: number;
  /** Of the time of a step, 0 to 1. */
  readonly share: number;
}

/** Where the time of a step went, on average; what no phase counts is `other`. */
export function phaseShares(series: ReadonlyMap<string, Series>): PhaseShare[] {
  const step = weightedMean(series.get('time/step_ms'));
  if (step === undefined || step === 0) return [];
  const known = PHASES.flatMap(([name, phase]) => {
    const ms = weightedMean(series.get(name));
    return ms === undefined ? [] : [{ phase, ms }];
  });
  const other = Math.max(0, step - known.reduce((sum, { ms }) => sum + ms, 0));
  const whole = known.reduce((sum, { ms }) => sum + ms, other);
  return [...known, { phase: 'other', ms: other }].map((entry) => ({ ...entry, share: entry.ms / whole }));
}

/** Each value counts for the steps since the one before it. */
function weightedMean(series: Series | undefined): number | undefined {
  if (series === undefined || series.step.length === 0) return undefined;
  let sum = 0;
  let steps = 0;
  for (let i = 0; i < series.step.length; i++) {
    const weight = i === 0 ? 1 : Math.max(1, series.step[i]! - series.step[i - 1]!);
    sum += weight * series.mean[i]!;
    steps += weight;
  }
  return sum / steps;
}

/** The phases one upon the other: the step, then for each phase the sum of those up to it. */
export function stackedPhases(series: ReadonlyMap<string, Series>): {
  steps: number[];
  layers: number[][];
  names: string[];
} {
  const present = PHASES.filter(([name]) => series.has(name));
  const first = present[0] === undefined ? undefined : series.get(present[0][0]);
  const steps = [...(first?.step ?? [])];
  const layers: number[][] = [];
  let below = steps.map(() => 0);
  for (const [name] of present) {
    const at = new Map(series.get(name)!.step.map((step, i) => [step, series.get(name)!.mean[i]!]));
    below = steps.map((step, i) => below[i]! + (at.get(step) ?? 0));
    layers.push(below);
  }
  return { steps, layers, names: present.map(([, phase]) => phase) };
}
