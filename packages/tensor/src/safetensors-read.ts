import { ClipyardError } from '@clipyard/contracts';
import { fromBfloat16, fromFloat16 } from './half.js';
import {
  SAFETENSORS_DTYPES,
  SAFETENSORS_HEADER_BYTES,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsHeader,
  tensorBytes,
} from './safetensors-format.js';

/** The header's length field, the first 8 bytes of a file. Throws `checkpoint_damaged`. */
export function readSafetensorsHeaderLength(start: Uint8Array): number {
  if (start.byteLength < 8) throw damaged(`the file has ${start.byteLength} bytes, fewer than its length field`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > SAFETENSORS_HEADER_BYTES) throw damaged(`the header claims ${length} bytes`);
  return Number(length);
}

/**
 * Parses the header at the start of a file. `fileBytes` is the length of the whole file, of which `start` holds at least
 * the header. Unknown types, wrong sizes, holes, overlaps and trailing bytes are refused. Throws `checkpoint_damaged`.
 */
export function parseSafetensorsHeader(start: Uint8Array, fileBytes: number = start.byteLength): SafetensorsHeader {
  const dataOffset = 8 + readSafetensorsHeaderLength(start);
  if (dataOffset > start.byteLength) throw damaged(`the header ends at ${dataOffset}, the file at ${start.byteLength}`);
  const { __metadata__: metadata = {}, ...tensors } = parseObject(start.subarray(8, dataOffset));
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string')) {
    throw damaged('__metadata__ is not an object of strings');
  }
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value));
  entries.sort((a, b) => a.start - b.start || a.end - b.end);
  let expected = 0;
  for (const { name, start: first, end } of entries) {
    if (first !== expected) throw damaged(`tensor ${name} begins at ${first}, the one before it ends at ${expected}`);
    expected = end;
  }
  if (dataOffset + expected !== fileBytes) {
    throw damaged(`the tensors end at byte ${dataOffset + expected}, the file has ${fileBytes}`);
  }
  return {
    dataOffset,
    metadata: metadata as Record<string, string>,
    entries: new Map(entries.map((entry) => [entry.name, entry])),
  };
}

/** The tensor's values as a typed array of its own, aligned copy; bf16 and fp16 as bit patterns. `data` is all that follows the header. */
export function tensorValues(
  entry: SafetensorsEntry,
  data: Uint8Array,
): Float32Array | Int32Array | BigInt64Array | Uint16Array | Uint8Array {
  const bytes = new Uint8Array(data.subarray(entry.start, entry.end));
  if (bytes.byteLength !== entry.end - entry.start) throw damaged(`the data of tensor ${entry.name} is cut short`);
  switch (entry.dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer);
    case 'I32':
      return new Int32Array(bytes.buffer);
    case 'I64':
      return new BigInt64Array(bytes.buffer);
    case 'F16':
    case 'BF16':
      return new Uint16Array(bytes.buffer);
    case 'U8':
      return bytes;
  }
}

/** The tensor's values as float32, widened exactly from F16 and BF16. Throws `checkpoint_damaged` for integers. */
export function tensorFloats(entry: SafetensorsEntry, data: Uint8Array): Float32Array {
  const values = tensorValues(entry, data);
  if (values instanceof Float32Array) return values;
  if (values instanceof Uint16Array) {
    return Float32Array.from(values, entry.dtype === 'BF16' ? fromBfloat16 : fromFloat16);
  }
  throw damaged(`tensor ${entry.name} has type ${entry.dtype}, which is not a floating-point type`);
}

export interface SafetensorsFile extends SafetensorsHeader {
  /** All that follows the header: a view of the file. */
  readonly data: Uint8Array;
}

/** Parses a whole file. Throws `checkpoint_damaged`. */
export function readSafetensors(file: Uint8Array): SafetensorsFile {
  const header = parseSafetensorsHeader(file);
  return { ...header, data: file.subarray(header.dataOffset) };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged('the header is not JSON', cause);
  }
  if (!isRecord(value)) throw damaged('the header is not a JSON object');
  return value;
}

function parseEntry(name: string, value: unknown): SafetensorsEntry {
  if (!isRecord(value)) throw damaged(`the entry of tensor ${name} is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(SAFETENSORS_DTYPES, dtype)) {
    throw damaged(`tensor ${name} has type ${String(dtype)}; known are ${Object.keys(SAFETENSORS_DTYPES).join(', ')}`);
  }
  if (!isSizes(shape)) throw damaged(`tensor ${name} has no valid shape`);
  if (!isSizes(offsets) || offsets.length !== 2) throw damaged(`tensor ${name} has no valid data_offsets`);
  const [start, end] = offsets as [number, number];
  const bytes = tensorBytes(dtype as SafetensorsDtype, shape);
  if (end - start !== bytes) throw damaged(`tensor ${name} has ${end - start} bytes, its shape needs ${bytes}`);
  return { name, dtype: dtype as SafetensorsDtype, shape, start, end };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

function damaged(detail: string, cause?: unknown): ClipyardError {
  return new ClipyardError('checkpoint_damaged', `The safetensors file is damaged: ${detail}.`, { cause });
}
