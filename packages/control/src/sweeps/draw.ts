import { createHash } from 'node:crypto';
import type { SweepParameter, SweepSpec } from '@clipyard/contracts';
import { CounterRandom } from '@clipyard/tensor';

/** Significant digits of drawn real numbers: a table then shows what was run. */
const DIGITS = 4;

/**
 * The value of a parameter in trial i of a random search. It depends on seed, path and i only, so neither the number of
 * trials nor another parameter changes it.
 */
export function drawValue(
  path: string,
  parameter: SweepParameter,
  { seed, index }: { seed: number; index: number },
): unknown {
  const stream = createHash('sha256').update(path).digest().readUIntBE(0, 6);
  const share = new CounterRandom(seed, stream).uint32At(index) / 2 ** 32;
  switch (parameter.type) {
    case 'choice':
      return parameter.values[Math.floor(share * parameter.values.length)];
    case 'int':
      return parameter.min + Math.floor(share * (parameter.max - parameter.min + 1));
    default:
      return between(parameter, share);
  }
}

/** The values of a parameter on a grid. */
export function gridValues(parameter: SweepParameter): readonly unknown[] {
  if (parameter.type === 'choice') return parameter.values;
  const points = parameter.points!;
  const shares = Array.from({ length: points }, (_, i) => i / (points - 1));
  if (parameter.type !== 'int') return shares.map((share) => between(parameter, share));
  return shares.map((share) => Math.round(parameter.min + share * (parameter.max - parameter.min)));
}

/** The number at a share of the way from min to max, in their scale. */
function between({ type, min, max }: Exclude<SweepParameter, { type: 'choice' | 'int' }>, share: number): number {
  const value = type === 'uniform' ? min + share * (max - min) : min * (max / min) ** share;
  return Math.min(max, Math.max(min, Number(value.toPrecision(DIGITS))));
}

/** The values of all trials, in order. */
export function trialValues(spec: SweepSpec): readonly Readonly<Record<string, unknown>>[] {
  const parameters = Object.entries(spec.parameters);
  const { search, seed } = spec;
  if (search.type === 'random') {
    return Array.from({ length: search.trials }, (_, index) =>
      Object.fromEntries(parameters.map(([path, parameter]) => [path, drawValue(path, parameter, { seed, index })])),
    );
  }
  return parameters.reduce<Record<string, unknown>[]>(
    (rows, [path, parameter]) =>
      rows.flatMap((row) => gridValues(parameter).map((value) => ({ ...row, [path]: value }))),
    [{}],
  );
}

/** Number of trials of a spec, without making them. */
export function trialCount({ search, parameters }: SweepSpec): number {
  if (search.type === 'random') return search.trials;
  return Object.values(parameters).reduce((total, parameter) => total * gridValues(parameter).length, 1);
}
