import assert from 'node:assert';
import { endianness } from 'node:os';
import { compareEntries, type SafetensorsDtype, tensorBytes } from './safetensors-format.js';

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Row-major values; bf16 and fp16 as bit patterns in a Uint16Array. Not copied: it must not change before it is written. */
  readonly data: ArrayBufferView;
}

export interface SafetensorsImage {
  /** Length of the file. */
  readonly bytes: number;
  /** The file in pieces: the header, then the bytes of each tensor as a view of its data. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** The file that the reference implementation (safetensors 0.8) would write for these tensors; names are unique. */
export function writeSafetensors(
  tensors: readonly SafetensorsTensor[],
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsImage {
  assert(endianness() === 'LE', 'safetensors files are little-endian, and so must be the machine');
  const ordered = [...tensors].sort(compareEntries);
  assert(new Set(ordered.map(({ name }) => name)).size === ordered.length, 'names are unique');
  let end = 0;
  const fields: string[] = Object.keys(metadata).length === 0 ? [] : [`"__metadata__":${JSON.stringify(metadata)}`];
  for (const { name, dtype, shape, data } of ordered) {
    assert(name !== '__metadata__', 'the name __metadata__ is reserved');
    const bytes = tensorBytes(dtype, shape);
    assert(data.byteLength === bytes, `${name}: ${data.byteLength} bytes are given, its shape has ${bytes}`);
    // Written by hand: an object would move names that look like integers to the front.
    fields.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [end, (end += bytes)] satisfies number[] })}`,
    );
  }
  const json = Buffer.from(`{${fields.join(',')}}`);
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return {
    bytes: header.length + end,
    async *chunks() {
      yield header;
      for (const { data } of ordered) {
        if (data.byteLength > 0) yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      }
    },
  };
}
