import {
  ClipyardError,
  type FieldProblem,
  LIMITS,
  parseConstraint,
  parseRunSpec,
  type RunSpec,
  type SweepSpec,
  sweepError,
} from '@clipyard/contracts';
import { setField } from '../set-field.js';
import { trialCount, trialValues } from './draw.js';
import { rungBudgets } from './rungs.js';

/** One trial of a sweep: the values that were chosen for it, and the run spec that follows. */
export interface TrialPlan {
  readonly values: Readonly<Record<string, unknown>>;
  readonly spec: RunSpec;
}

/**
 * All trials of a sweep, each validated as a run spec is. `check` may throw more. Throws what `parseRunSpec` and `check`
 * throw, the fields named as in the sweep spec, and `sweep_invalid`.
 */
export function planTrials(sweep: SweepSpec, check: (spec: RunSpec) => void = () => {}): readonly TrialPlan[] {
  const count = trialCount(sweep);
  if (count > LIMITS.sweepTrials) {
    const remedy = 'Use fewer values or points, or `search: { type: random }`.';
    throw sweepError('parameters', `make a grid of more than ${LIMITS.sweepTrials} trials`, count, remedy);
  }
  return trialValues(sweep).map((values, index) => {
    try {
      const input = structuredClone(sweep.base);
      for (const [path, value] of Object.entries(values)) {
        const outer = setField(input, path, value);
        if (outer === undefined) continue;
        const remedy = `Search ${outer.path} itself, or correct the path.`;
        throw sweepError(path, `${outer.path} has no fields in the base`, outer.value, remedy);
      }
      const spec = parseRunSpec({ ...input, name: `${sweep.name}-${index}` });
      check(spec);
      checkAgainst(sweep, spec);
      return { values, spec };
    } catch (error) {
      throw inSweep(error, index, values);
    }
  });
}

function checkAgainst(sweep: SweepSpec, spec: RunSpec): void {
  rungBudgets(spec.duration, sweep.halving);
  const metrics = [sweep.objective.metric, ...sweep.constraints.map((text) => parseConstraint(text)!.metric)];
  const metric = metrics.find((name) => name.startsWith('eval/'));
  if (metric === undefined) return;
  const { mode, tasks } = spec.evaluate;
  if (tasks.length > 0 && mode === 'inline') return;
  if (tasks.length > 0) {
    throw sweepError(
      'evaluate.mode',
      `is \`${mode}\`, so ${metric} may not be there yet when a trial is judged`,
      mode,
      'Leave it out, or judge by another metric, such as `loss`.',
    );
  }
  throw sweepError(
    'evaluate.tasks',
    `is empty, so nothing measures ${metric}`,
    spec.evaluate.tasks,
    'Add a task, or judge by another metric, such as `loss`.',
  );
}

/** The error with its fields named as in the sweep spec: searched ones below `parameters`, others below `base`. */
export function inSweep(error: unknown, index: number, values: TrialPlan['values']): unknown {
  if (!(error instanceof ClipyardError)) return error;
  const fields = error.fields.map((field): FieldProblem => {
    if (/^(halving|parameters)\b/.test(field.path)) return field;
    const paths = Object.keys(values);
    const outer = paths.find(
      (path) => path === field.path || field.path.startsWith(`${path}.`) || field.path.startsWith(`${path}[`),
    );
    const path = outer === undefined ? paths.find((inner) => inner.startsWith(`${field.path}.`)) : field.path;
    if (path === undefined) return { ...field, path: field.path === '(root)' ? 'base' : `base.${field.path}` };
    return { ...field, path: `parameters.${path}`, message: `${field.message} (in trial ${index})` };
  });
  const message =
    fields.length === 0 ? error.message : fields.map((field) => `${field.path}: ${field.message}`).join('; ');
  return new ClipyardError(error.code, message, { fields, cause: error });
}
