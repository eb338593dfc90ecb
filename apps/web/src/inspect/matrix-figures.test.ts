import { expect, test } from 'vitest';
import { matrixFigures } from './matrix-figures.js';

test('a picture is right when its most similar caption has the text of its own', () => {
  const samples = ['a', 'b', 'a'].map((caption, index) => ({ index, caption }));
  const matrix = [
    [0.1, 0.2, 0.9],
    [0.5, 0.4, 0.3],
    [0.2, 0.1, 0.3],
  ];
  expect(matrixFigures(matrix, samples)).toEqual({ low: 0.1, high: 0.9, recall: 2 / 3 });
});
