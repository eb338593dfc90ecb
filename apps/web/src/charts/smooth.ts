/**
 * Exponential moving average with the weight of the past between 0 (none) and 1, its start debiased as in TensorBoard:
 * a constant stays what it is.
 */
export function smooth(values: readonly number[], past: number): number[] {
  if (past <= 0) return [...values];
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    sum = past * sum + (1 - past) * value;
    weight = past * weight + (1 - past);
    return sum / weight;
  });
}
