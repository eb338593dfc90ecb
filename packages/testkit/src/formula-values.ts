/**
 * Values by formula, so that a test need not store them: value i of the tensor named n is offset + scale · u(n, i).
 * `scripts/reference/formula_values.py` is the same formula for the Python programs that make fixtures.
 */

/** 32-bit words: MurmurHash3's finaliser of FNV-1a(name) + i · 0x9E3779B9. */
export function formulaWords(name: string, length: number): Uint32Array {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  return Uint32Array.from({ length }, (_, i) => {
    let h = (seed + Math.imul(i, 0x9e3779b9)) >>> 0;
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= h >>> 13;
    h = Math.imul(h, 0xc2b2ae35);
    return h ^ (h >>> 16);
  });
}

/** `length` values in [offset − scale, offset + scale), computed in float64 and rounded once to float32. */
export function formulaValues(name: string, length: number, scale = 1, offset = 0): Float32Array {
  return Float32Array.from(formulaWords(name, length), (word) => offset + scale * ((word >>> 8) / 2 ** 23 - 1));
}
