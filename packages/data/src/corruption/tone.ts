import { clamped } from './clamped.js';

/** Keeps `factor` of the distance of each value to the mean of its channel. */
export function lowerContrast(pixels: Uint8Array, factor: number): Uint8Array {
  const means = [0, 0, 0];
  pixels.forEach((value, i) => {
    means[i % 3]! += value;
  });
  for (let channel = 0; channel < 3; channel++) means[channel]! /= pixels.length / 3;
  return clamped(pixels, (value, i) => means[i % 3]! + factor * (value - means[i % 3]!));
}

/** Adds `amount` to the value of each pixel in HSV, whose hue and saturation stay. */
export function brighten(pixels: Uint8Array, amount: number): Uint8Array {
  const brightest = (i: number): number => Math.max(pixels[i]!, pixels[i + 1]!, pixels[i + 2]!);
  return clamped(pixels, (value, i) => {
    const before = brightest(i - (i % 3));
    const after = Math.min(255, before + 255 * amount);
    return before === 0 ? after : (value * after) / before;
  });
}
