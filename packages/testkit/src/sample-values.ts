/** Deterministic float32 values of both signs and very different sizes, so that the order of additions shows in their sum. */
export function sampleFloats(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = () => {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  next();
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = (next() - 0.5) * 10 ** (6 * next() - 3);
  return values;
}

/** The byte `seed + i`, and so on: every position of a message differs from its neighbours. */
export function sampleBytes(length: number, seed: number): Uint8Array {
  const values = new Uint8Array(length);
  for (let i = 0; i < length; i++) values[i] = (seed + i * 31 + (i >>> 8)) & 0xff;
  return values;
}
