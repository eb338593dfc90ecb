import type { FieldProblem } from '../errors.js';
import { METRICS } from '../rank-protocol.js';

const COMPARISONS = {
  '<': (value: number, bound: number) => value < bound,
  '<=': (value: number, bound: number) => value <= bound,
  '>': (value: number, bound: number) => value > bound,
  '>=': (value: number, bound: number) => value >= bound,
} as const;

/** A bound on a metric, such as `loss < 4`. */
export interface Constraint {
  readonly metric: string;
  readonly comparison: keyof typeof COMPARISONS;
  readonly bound: number;
}

/** Undefined when the text is none. */
export function parseConstraint(text: string): Constraint | undefined {
  const match = /^\s*(\S+?)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*$/i.exec(text);
  if (match === null) return undefined;
  const bound = Number(match[3]);
  if (!Number.isFinite(bound)) return undefined;
  return { metric: match[1]!, comparison: match[2] as Constraint['comparison'], bound };
}

export function keepsConstraint({ comparison, bound }: Constraint, value: number): boolean {
  return COMPARISONS[comparison](value, bound);
}

/** What is wrong with the name of a metric, if anything: those of evaluations depend on their tasks, so they pass. */
export function metricProblem(path: string, metric: string): FieldProblem | undefined {
  if (Object.hasOwn(METRICS, metric) || /^eval\/.+\/.+/.test(metric)) return undefined;
  const names = Object.keys(METRICS);
  return {
    path,
    message: `\`${metric}\` is no metric`,
    value: metric,
    remedy: `Use one of: ${names.join(', ')}.`,
  };
}
