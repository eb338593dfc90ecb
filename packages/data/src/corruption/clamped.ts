/** RGB bytes changed value by value, rounded to the nearest byte. */
export function clamped(pixels: Uint8Array, change: (value: number, index: number) => number): Uint8Array {
  const out = new Uint8ClampedArray(pixels.length);
  for (let i = 0; i < pixels.length; i++) out[i] = change(pixels[i]!, i);
  return new Uint8Array(out.buffer);
}
