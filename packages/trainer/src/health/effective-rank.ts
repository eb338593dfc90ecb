import { symmetricEigenvalues } from './symmetric-eigenvalues.js';

/**
 * Effective rank of a matrix of n rows [n,D]: e to the entropy of its singular values, each over their sum (RankMe, Garrido
 * et al., arXiv 2210.02885), from 1 to min(n, D). In float64, from the eigenvalues of the smaller Gram matrix.
 */
export function effectiveRank(rows_nD: readonly Float32Array[]): number {
  const n = rows_nD.length;
  const D = rows_nD[0]!.length;
  const size = Math.min(n, D);
  const singular = symmetricEigenvalues(n <= D ? gramOfRows(rows_nD) : gramOfColumns(rows_nD, D), size).map((value) =>
    Math.sqrt(Math.max(value, 0)),
  );
  const total = singular.reduce((sum, value) => sum + value, 0);
  let entropy = 0;
  for (const value of singular) if (value > 0) entropy -= (value / total) * Math.log(value / total);
  return Math.exp(entropy);
}

function gramOfRows(rows: readonly Float32Array[]): Float64Array {
  const n = rows.length;
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) gram[i * n + j] = gram[j * n + i] = dot(rows[i]!, 0, rows[j]!, 0, rows[i]!.length);
  return gram;
}

function gramOfColumns(rows: readonly Float32Array[], D: number): Float64Array {
  const gram = new Float64Array(D * D);
  for (const row of rows) {
    for (let i = 0; i < D; i++) {
      const x = row[i]!;
      for (let j = 0; j <= i; j++) gram[i * D + j]! += x * row[j]!;
    }
  }
  for (let i = 0; i < D; i++) for (let j = 0; j < i; j++) gram[j * D + i] = gram[i * D + j]!;
  return gram;
}

/** Of `length` elements from `i` and `j` on, in float64; four sums side by side. */
export function dot(a: Float32Array, i: number, b: Float32Array, j: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const end = i + length;
  let p = i;
  let q = j;
  for (const fours = i + (length & ~3); p < fours; p += 4, q += 4) {
    s0 += a[p]! * b[q]!;
    s1 += a[p + 1]! * b[q + 1]!;
    s2 += a[p + 2]! * b[q + 2]!;
    s3 += a[p + 3]! * b[q + 3]!;
  }
  for (; p < end; p++, q++) s0 += a[p]! * b[q]!;
  return s0 + s1 + (s2 + s3);
}
