/**
 * Position embeddings for another number of positions, as open_clip's `resize_pos_embed` and `resize_text_pos_embed` make
 * them. Legend: rows of `width` values, one a position; from and to, positions along one axis before and after.
 */

/** The positions before that one after is made of. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/** Of a square grid [from·from, width] to [to·to, width]: bicubic, widened by the scale when it shrinks. */
export function resizeGrid(rows: Float32Array, width: number, from: number, to: number): Float32Array {
  const taps = Array.from({ length: to }, (_, i) => cubicTaps(i, from, to));
  const narrow = new Float32Array(from * to * width);
  for (let y = 0; y < from; y++) {
    const row = rows.subarray(y * from * width, (y + 1) * from * width);
    narrow.set(combine(row, width, taps), y * to * width);
  }
  // Rows of the grid are what one axis is made of now.
  return combine(narrow, to * width, taps);
}

/** Of a line [from, width] to [to, width]: linear between neighbours. */
export function resizeLine(rows: Float32Array, width: number, from: number, to: number): Float32Array {
  return combine(
    rows,
    width,
    Array.from({ length: to }, (_, i) => linearTaps(i, from, to)),
  );
}

function combine(rows: Float32Array, width: number, taps: readonly Taps[]): Float32Array {
  const out = new Float32Array(taps.length * width);
  taps.forEach(({ first, weights }, i) => {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * rows[(first + k) * width + column]!;
      out[i * width + column] = sum;
    }
  });
  return out;
}

/** Cubic convolution (Keys 1981, a = -0.5), what PyTorch's antialiased bicubic uses. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

function cubicTaps(i: number, from: number, to: number): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const center = scale * (i + 0.5);
  const first = Math.max(0, Math.trunc(center - support + 0.5));
  const end = Math.min(from, Math.trunc(center + support + 0.5));
  const weights = Array.from({ length: end - first }, (_, k) => cubic((first + k - center + 0.5) / stretch));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { first, weights: weights.map((weight) => weight / total) };
}

function linearTaps(i: number, from: number, to: number): Taps {
  const source = Math.max(0, (from / to) * (i + 0.5) - 0.5);
  const first = Math.min(Math.floor(source), from - 1);
  if (first === from - 1) return { first, weights: [1] };
  const part = source - first;
  return { first, weights: [1 - part, part] };
}
