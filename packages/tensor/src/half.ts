import assert from 'node:assert';

/**
 * Conversions between float32 and the 16-bit formats bf16 and fp16 (IEEE 754 binary16), as bit patterns in Uint16Array.
 * Rounding is to nearest, ties to even; `stochastic-rounding.ts` has the other.
 */
const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** Drops the lowest `shift` (1 to 31) bits of `value`. */
function roundShift(value: number, shift: number): number {
  const quotient = value >>> shift;
  const rest = value - quotient * 2 ** shift;
  const half = 2 ** (shift - 1);
  return rest > half || (rest === half && quotient % 2 === 1) ? quotient + 1 : quotient;
}

/** The bf16 bit pattern of `value`; NaN stays a (quiet) NaN. */
export function toBfloat16(value: number): number {
  floats[0] = value;
  const pattern = bits[0]!;
  if (Number.isNaN(value)) return (pattern >>> 16) | 0x40;
  if (value === Infinity || value === -Infinity) return pattern >>> 16;
  return roundShift(pattern, 16);
}

export function fromBfloat16(pattern: number): number {
  bits[0] = pattern << 16;
  return floats[0]!;
}

/** The fp16 bit pattern of `value`; beyond 65,520 it is infinite, NaN stays a (quiet) NaN. */
export function toFloat16(value: number): number {
  floats[0] = value;
  const pattern = bits[0]!;
  const sign = (pattern >>> 16) & 0x8000;
  const mantissa = pattern & 0x7fffff;
  const exponent = ((pattern >>> 23) & 0xff) - 127 + 15;
  if (Number.isNaN(value)) return sign | 0x7e00 | (mantissa >>> 13);
  if (exponent >= 31) return sign | 0x7c00;
  // A carry out of the mantissa moves into the exponent, which is what the format wants, up to infinity.
  if (exponent > 0) return sign | roundShift((exponent << 23) | mantissa, 13);
  const shift = 14 - exponent;
  return shift > 31 ? sign : sign | roundShift(mantissa | 0x800000, shift);
}

export function fromFloat16(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >>> 10) & 0x1f;
  const mantissa = pattern & 0x3ff;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (mantissa + 1024) * 2 ** (exponent - 25);
}

function narrow(convert: (value: number) => number, source: Float32Array, target: Uint16Array): Uint16Array {
  assert(source.length === target.length, 'source and target are equally long');
  for (let i = 0; i < source.length; i++) target[i] = convert(source[i]!);
  return target;
}

/** Converts float32 to bf16 bit patterns and returns `target`. */
export const narrowToBfloat16 = (source: Float32Array, target: Uint16Array): Uint16Array =>
  narrow(toBfloat16, source, target);

/** Converts float32 to fp16 bit patterns and returns `target`. */
export const narrowToFloat16 = (source: Float32Array, target: Uint16Array): Uint16Array =>
  narrow(toFloat16, source, target);
