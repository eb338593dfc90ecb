import { keepsConstraint, parseConstraint, type SweepSpec, type TrialResult } from '@clipyard/contracts';
import type { JobRow, Repositories } from '@clipyard/db';

/** Rates that differ from report to report: their median over the rung tells more than the last. */
const RATES = /^(speed|time)\//;

export interface Measured {
  /** Undefined when the metric of the objective, or of a constraint, is missing. */
  readonly result?: TrialResult;
  readonly missing?: string;
  /** The first constraint that it does not keep, with the value. */
  readonly broken?: string;
}

/** What the job of a trial has come to at the end of a rung: the newest value of each metric, of rates the median over the rung. */
export async function measure(
  tx: Repositories,
  job: JobRow,
  { sweep, rung, before }: { sweep: SweepSpec; rung: number; before: readonly TrialResult[] },
): Promise<Measured> {
  const constraints = sweep.constraints.map((text) => parseConstraint(text)!);
  const latest = job.latest as Readonly<Record<string, number>>;
  const from = before.at(-1)?.step ?? 0;
  const metrics: Record<string, number> = {};
  for (const name of new Set([sweep.objective.metric, ...constraints.map(({ metric }) => metric)])) {
    const value = (RATES.test(name) ? await tx.metrics.median(job.id, name, from) : undefined) ?? latest[name];
    if (value === undefined) return { missing: name };
    metrics[name] = value;
  }
  const broken = constraints.findIndex((constraint) => !keepsConstraint(constraint, metrics[constraint.metric]!));
  const value = metrics[sweep.objective.metric]!;
  return {
    result: { rung, step: job.step, objective: value, metrics },
    ...(broken < 0
      ? {}
      : {
          broken: `\`${sweep.constraints[broken]}\`: ${Number(metrics[constraints[broken]!.metric]!.toPrecision(4))}`,
        }),
  };
}
