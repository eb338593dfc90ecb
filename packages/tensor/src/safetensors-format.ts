/** Data types of the safetensors format that we read and write, with their size in bytes, in the reference's order of alignment. */
export const SAFETENSORS_DTYPES = { U8: 1, F16: 2, BF16: 2, I32: 4, F32: 4, I64: 8 } as const;
export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPES;

const ALIGNMENT_ORDER = Object.keys(SAFETENSORS_DTYPES);

/** Largest header, bytes: the reference implementation refuses longer ones. */
export const SAFETENSORS_HEADER_BYTES = 100_000_000;

/** A tensor of a file: where its bytes lie after the header. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Offset of the first byte and of the one after the last, counted from the end of the header. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** Offset of the first tensor byte in the file. */
  readonly dataOffset: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** By name. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

/** The reference's order in the file: wide types first, so that each tensor is aligned, then by the bytes of the name. */
export function compareEntries(
  a: { readonly name: string; readonly dtype: SafetensorsDtype },
  b: { readonly name: string; readonly dtype: SafetensorsDtype },
): number {
  const byAlignment = ALIGNMENT_ORDER.indexOf(b.dtype) - ALIGNMENT_ORDER.indexOf(a.dtype);
  return byAlignment !== 0 ? byAlignment : Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

/** Bytes of a tensor. */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, SAFETENSORS_DTYPES[dtype]);
}
