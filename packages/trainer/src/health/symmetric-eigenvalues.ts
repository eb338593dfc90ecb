import { ClipyardError } from '@clipyard/contracts';

/** Iterations for one eigenvalue; two or three are usual. */
const ITERATIONS = 60;

/**
 * Eigenvalues of a symmetric matrix [n,n], ascending; the matrix is overwritten. Householder's reduction to tridiagonal form,
 * then implicit QL without vectors, to the accuracy of the largest: tred1 and imtql1 of EISPACK (Martin, Reinsch and Wilkinson 1968; Dubrulle 1970).
 */
export function symmetricEigenvalues(a: Float64Array, n: number): Float64Array {
  const diagonal = new Float64Array(n);
  const off = new Float64Array(n);
  tridiagonalize(a, n, diagonal, off);
  // What is nothing beside the largest ones is nothing.
  const nothing = Number.EPSILON * diagonal.reduce((most, d, i) => Math.max(most, Math.abs(d) + Math.abs(off[i]!)), 0);
  for (let low = 0; low < n; low++) {
    for (let iteration = 0; ; iteration++) {
      let high = low;
      while (high < n - 1 && Math.abs(off[high]!) > nothing) high++;
      if (high === low) break;
      if (iteration === ITERATIONS) throw new ClipyardError('internal', 'the eigenvalues of a matrix do not converge');
      implicitShift(diagonal, off, low, high);
    }
  }
  return diagonal.sort();
}

/** `off[i]` stands between i and i + 1. */
function tridiagonalize(a: Float64Array, n: number, diagonal: Float64Array, off: Float64Array): void {
  const p = new Float64Array(n);
  for (let i = n - 1; i > 0; i--) {
    const row = i * n;
    let scale = 0;
    for (let k = 0; k < i; k++) scale = Math.max(scale, Math.abs(a[row + k]!));
    if (scale === 0 || i === 1) {
      off[i - 1] = a[row + i - 1]!;
      continue;
    }
    let h = 0;
    for (let k = 0; k < i; k++) {
      a[row + k]! /= scale;
      h += a[row + k]! ** 2;
    }
    const f = a[row + i - 1]!;
    const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
    off[i - 1] = scale * g;
    h -= f * g;
    a[row + i - 1] = f - g;
    // p = A u / h, then A - u qᵀ - q uᵀ with q = p - (uᵀp / 2h) u, on the lower triangle.
    let dot = 0;
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = 0; k <= j; k++) sum += a[j * n + k]! * a[row + k]!;
      for (let k = j + 1; k < i; k++) sum += a[k * n + j]! * a[row + k]!;
      p[j] = sum / h;
      dot += p[j]! * a[row + j]!;
    }
    const half = dot / (2 * h);
    for (let j = 0; j < i; j++) {
      const u = a[row + j]!;
      p[j]! -= half * u;
      const q = p[j]!;
      for (let k = 0; k <= j; k++) a[j * n + k]! -= u * p[k]! + q * a[row + k]!;
    }
  }
  for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i]!;
}

/** One QL sweep with an implicit shift from `high` down to `low`. */
function implicitShift(diagonal: Float64Array, off: Float64Array, low: number, high: number): void {
  const between = (diagonal[low + 1]! - diagonal[low]!) / (2 * off[low]!);
  const root = Math.hypot(between, 1);
  let g = diagonal[high]! - diagonal[low]! + off[low]! / (between + (between >= 0 ? root : -root));
  let [sine, cosine, shift] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const f = sine * off[i]!;
    const b = cosine * off[i]!;
    const r = Math.hypot(f, g);
    off[i + 1] = r;
    if (r === 0) {
      diagonal[i + 1]! -= shift;
      off[high] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    const d = diagonal[i + 1]! - shift;
    const t = (diagonal[i]! - d) * sine + 2 * cosine * b;
    shift = sine * t;
    diagonal[i + 1] = d + shift;
    g = cosine * t - b;
  }
  diagonal[low]! -= shift;
  off[low] = g;
  off[high] = 0;
}
