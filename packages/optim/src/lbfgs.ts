/** The value of a function at x; writes its gradient there into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => Promise<number>;

export interface LbfgsOptions {
  /** Steps that curvature is known from; default 10. */
  readonly memory?: number;
  /** Default 1000. */
  readonly maxIterations?: number;
  /** Ends when no component of the gradient is larger; default 1e-5. */
  readonly gradientTolerance?: number;
  /** Ends when the value falls by no more than this share of it; default 64 times the precision of float64. */
  readonly valueTolerance?: number;
}

export interface LbfgsResult {
  readonly x: Float64Array;
  readonly value: number;
  readonly iterations: number;
  readonly evaluations: number;
  /** Why it ended; `stuck`: no lower point was found along the gradient. */
  readonly end: 'gradient' | 'value' | 'iterations' | 'stuck';
}

interface Point {
  readonly x: Float64Array;
  readonly gradient: Float64Array;
  readonly value: number;
}

/** Sufficient decrease and curvature, of the strong Wolfe conditions. */
const DECREASE = 1e-4;
const CURVATURE = 0.9;
/** Evaluations of one line search. */
const SEARCH_TRIES = 30;

/**
 * Minimises a smooth function from `start` on by L-BFGS (Liu and Nocedal 1989; Nocedal and Wright, algorithms 7.4, 3.5 and
 * 3.6). Only the objective computes anything large, so ranks that all-reduce it stay in step.
 */
export async function minimizeLbfgs(
  objective: Objective,
  start: Float64Array,
  options: LbfgsOptions = {},
): Promise<LbfgsResult> {
  const { memory = 10, maxIterations = 1000, gradientTolerance = 1e-5 } = options;
  const { valueTolerance = 64 * Number.EPSILON } = options;
  let evaluations = 0;
  const at = async (x: Float64Array): Promise<Point> => {
    evaluations++;
    const gradient = new Float64Array(x.length);
    return { x, gradient, value: await objective(x, gradient) };
  };
  let point = await at(start.slice());
  const history: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let iteration = 0; ; iteration++) {
    const result = (end: LbfgsResult['end']): LbfgsResult => {
      return { x: point.x, value: point.value, iterations: iteration, evaluations, end };
    };
    if (largest(point.gradient) <= gradientTolerance) return result('gradient');
    if (iteration === maxIterations) return result('iterations');
    const first = history.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(point.gradient, point.gradient))) : 1;
    const next = await lineSearch(at, point, descent(point.gradient, history), first);
    if (next === undefined) {
      if (history.length === 0) return result('stuck');
      // The curvature that was gathered no longer fits: once more down the gradient.
      history.length = 0;
      continue;
    }
    const s = difference(next.x, point.x);
    const y = difference(next.gradient, point.gradient);
    const sy = dot(s, y);
    if (sy > Number.EPSILON * dot(y, y)) {
      history.push({ s, y, rho: 1 / sy });
      if (history.length > memory) history.shift();
    }
    const fall = point.value - next.value;
    const scale = Math.max(Math.abs(point.value), Math.abs(next.value), 1);
    point = next;
    if (fall <= valueTolerance * scale) return { ...result('value'), iterations: iteration + 1 };
  }
}

/** The two-loop recursion: minus the gradient times the inverse Hessian as the history tells it. */
function descent(
  gradient: Float64Array,
  history: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  const q = gradient.map((value) => -value);
  const alphas = history.map(() => 0);
  for (let i = history.length - 1; i >= 0; i--) {
    const { s, y, rho } = history[i]!;
    alphas[i] = rho * dot(s, q);
    addScaled(q, y, -alphas[i]!);
  }
  const last = history.at(-1);
  if (last !== undefined) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    for (let i = 0; i < q.length; i++) q[i]! *= scale;
  }
  history.forEach(({ s, y, rho }, i) => {
    addScaled(q, s, alphas[i]! - rho * dot(y, q));
  });
  return q;
}

/** A point along `direction` that satisfies the strong Wolfe conditions; undefined where none is found. */
async function lineSearch(
  at: (x: Float64Array) => Promise<Point>,
  from: Point,
  direction: Float64Array,
  first: number,
): Promise<Point | undefined> {
  interface Trial {
    readonly step: number;
    readonly value: number;
    readonly slope: number;
    readonly point: Point;
  }
  const slope = dot(direction, from.gradient);
  if (!(slope < 0)) return undefined;
  // Near the minimum differences of values drown in their rounding.
  const slack = 4 * Number.EPSILON * Math.abs(from.value);
  const tryStep = async (step: number): Promise<Trial> => {
    const point = await at(from.x.map((value, i) => value + step * direction[i]!));
    return { step, value: point.value, slope: dot(direction, point.gradient), point };
  };
  const falls = (trial: Trial): boolean => trial.value <= from.value + DECREASE * trial.step * slope + slack;
  const flat = (trial: Trial): boolean => Math.abs(trial.slope) <= -CURVATURE * slope;

  let low: Trial = { step: 0, value: from.value, slope, point: from };
  let high: Trial | undefined;
  let step = first;
  for (let tries = 0; tries < SEARCH_TRIES; tries++) {
    const trial = await tryStep(step);
    if (!Number.isFinite(trial.value) || !falls(trial) || trial.value > low.value + slack) high = trial;
    else if (flat(trial)) return trial.point;
    else {
      // The slope says on which side of the trial the minimum lies.
      if (high === undefined ? trial.slope >= 0 : trial.slope * (high.step - low.step) >= 0) high = low;
      low = trial;
    }
    step = high === undefined ? 2 * step : between(low, high);
    if (high !== undefined && Math.abs(high.step - low.step) < 1e-14 * Math.abs(low.step)) break;
  }
  // Lower, if not as flat as wanted, is progress.
  return low.step > 0 && low.value < from.value ? low.point : undefined;
}

/** The minimum of the cubic through two trials, kept off their ends (Nocedal and Wright, 3.59). */
function between(
  a: { step: number; value: number; slope: number },
  b: { step: number; value: number; slope: number },
): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step);
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(d1 * d1 - a.slope * b.slope);
  const step = b.step - (b.step - a.step) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
  const [left, right] = [Math.min(a.step, b.step), Math.max(a.step, b.step)];
  const margin = 0.1 * (right - left);
  return step >= left + margin && step <= right - margin ? step : (left + right) / 2;
}

const largest = (values: Float64Array): number => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);

function addScaled(target: Float64Array, values: Float64Array, scale: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += scale * values[i]!;
}
