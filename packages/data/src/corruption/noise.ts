import type { CounterRandom } from '@clipyard/tensor';
import { clamped } from './clamped.js';

/** Noise on RGB bytes, a draw a value. */

/** Adds normal noise of a deviation `std` of the range of values. */
export function gaussianNoise(pixels: Uint8Array, std: number, random: CounterRandom): Uint8Array {
  const noise = random.fillNormal(new Float32Array(pixels.length), { std: 255 * std });
  return clamped(pixels, (value, i) => value + noise[i]!);
}

/** As if a white value were `photons` photons on average: each value is a Poisson count (by inversion, from one draw). */
export function shotNoise(pixels: Uint8Array, photons: number, random: CounterRandom): Uint8Array {
  const draws = random.fillUniform(new Float64Array(pixels.length));
  const tables = new Map<number, Float64Array>();
  return clamped(pixels, (value, i) => {
    let table = tables.get(value);
    if (table === undefined) tables.set(value, (table = poissonTable((value / 255) * photons, photons)));
    // A count beyond the table is white, as the last one in it is.
    let count = 0;
    while (count < table.length && draws[i]! >= table[count]!) count++;
    return (255 * count) / photons;
  });
}

/** P(count <= k) for k from 0 to `most`. */
function poissonTable(mean: number, most: number): Float64Array {
  const table = new Float64Array(most + 1);
  let probability = Math.exp(-mean);
  let sum = 0;
  for (let k = 0; k <= most; k++) {
    sum += probability;
    table[k] = sum;
    probability *= mean / (k + 1);
  }
  return table;
}

/** Salt and pepper: a `share` of the values becomes black or white. */
export function impulseNoise(pixels: Uint8Array, share: number, random: CounterRandom): Uint8Array {
  const draws = random.fillUniform(new Float64Array(pixels.length));
  return clamped(pixels, (value, i) => (draws[i]! >= share ? value : draws[i]! < share / 2 ? 0 : 255));
}
