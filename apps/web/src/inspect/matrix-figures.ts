import type { Similarity } from '@clipyard/contracts';

export interface MatrixFigures {
  /** Least and greatest similarity. */
  readonly low: number;
  readonly high: number;
  /** Share of pictures whose most similar caption is their own, 0 to 1; captions with the same text are the same. */
  readonly recall: number;
}

export function matrixFigures(matrix: Similarity['matrix'], samples: Similarity['samples']): MatrixFigures {
  const values = matrix.flat();
  const right = matrix.filter((row, i) => samples[row.indexOf(Math.max(...row))]!.caption === samples[i]!.caption);
  return { low: Math.min(...values), high: Math.max(...values), recall: right.length / matrix.length };
}
