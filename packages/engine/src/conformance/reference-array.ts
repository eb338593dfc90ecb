/** Arrays in float64 and plain loops: what the conformance tests compare engines with. */
export interface ReferenceArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** The array whose value at `index` is `value(index)`. */
export function build(shape: readonly number[], value: (index: number[]) => number): ReferenceArray {
  const index = shape.map(() => 0);
  const data = new Float64Array(sizeOf(shape));
  for (let flat = 0; flat < data.length; flat++) {
    data[flat] = value([...index]);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return { shape: [...shape], data };
}

/** The value at `index`; leading axes that `x` lacks are ignored and axes of extent 1 repeat, as in broadcasting. */
export function at(x: ReferenceArray, index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  return x.data[x.shape.reduce((flat, extent, axis) => flat * extent + (extent === 1 ? 0 : index[lead + axis]!), 0)]!;
}

export const map = (x: ReferenceArray, f: (value: number) => number): ReferenceArray => ({
  shape: x.shape,
  data: x.data.map(f),
});

export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => Math.max(a[i + a.length - rank] ?? 1, b[i + b.length - rank] ?? 1));
}

export const zip = (a: ReferenceArray, b: ReferenceArray, f: (a: number, b: number) => number): ReferenceArray =>
  build(broadcastShape(a.shape, b.shape), (index) => f(at(a, index), at(b, index)));

export const add = (a: ReferenceArray, b: ReferenceArray): ReferenceArray => zip(a, b, (x, y) => x + y);

/** Folds the values along `axes` with `f`. */
export function reduce(
  x: ReferenceArray,
  axes: readonly number[],
  keepDims: boolean,
  f: (values: number[]) => number,
): ReferenceArray {
  const kept = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const folded = x.shape.map((extent, axis) => (axes.includes(axis) ? extent : 1));
  const whole = build(kept, (index) => {
    const values: number[] = [];
    build(folded, (offset) => {
      values.push(
        at(
          x,
          index.map((i, axis) => i + offset[axis]!),
        ),
      );
      return 0;
    });
    return f(values);
  });
  return keepDims ? whole : { shape: x.shape.filter((_, axis) => !axes.includes(axis)), data: whole.data };
}

export const sum = (values: number[]): number => values.reduce((total, x) => total + x, 0);
export const mean = (values: number[]): number => sum(values) / values.length;

export const transpose = (x: ReferenceArray, perm: readonly number[]): ReferenceArray =>
  build(
    perm.map((axis) => x.shape[axis]!),
    (index) => {
      const source = index.map(() => 0);
      perm.forEach((axis, i) => {
        source[axis] = index[i]!;
      });
      return at(x, source);
    },
  );

/** Swaps the last two axes. */
export const swapped = (x: ReferenceArray): ReferenceArray => {
  const rank = x.shape.length;
  return transpose(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
};

/** a·b over the last two axes, leading axes broadcast. */
export function product(a: ReferenceArray, b: ReferenceArray): ReferenceArray {
  const inner = a.shape.at(-1)!;
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return build([...batch, a.shape.at(-2)!, b.shape.at(-1)!], (index) => {
    const [row, column] = [index.at(-2)!, index.at(-1)!];
    const lead = index.slice(0, -2);
    let total = 0;
    for (let k = 0; k < inner; k++) total += at(a, [...lead, row, k]) * at(b, [...lead, k, column]);
    return total;
  });
}

export function softmax(x: ReferenceArray): ReferenceArray {
  const last = [x.shape.length - 1];
  const powers = zip(
    x,
    reduce(x, last, true, (values) => Math.max(...values)),
    (a, max) => Math.exp(a - max),
  );
  return zip(powers, reduce(powers, last, true, sum), (a, total) => a / total);
}

/** Its Taylor series; to 1e-12 for |x| <= 3. */
export function erf(x: number): number {
  let power = x;
  let total = x;
  for (let n = 1; n < 80; n++) {
    power *= (-x * x) / n;
    total += power / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}
