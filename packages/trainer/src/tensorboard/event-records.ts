import { maskedCrc32c } from './crc32c.js';

/** What TensorBoard reads: protobuf messages `Event` of TensorFlow (event.proto, summary.proto), each a TFRecord. */

export interface ScalarEvent {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** The first record of every file. */
export const versionRecord = (at: number): Buffer =>
  record(Buffer.concat([wallTime(at), bytesField(3, Buffer.from('brain.Event:2'))]));

/** Steps from this one on that were read before count no more: a run was resumed. */
export const sessionStartRecord = (at: number, step: number): Buffer =>
  record(Buffer.concat([wallTime(at), integerField(2, step), bytesField(7, integerField(1, SESSION_START))]));

export function scalarRecord({ at, step, values }: ScalarEvent): Buffer {
  const summary = Object.entries(values).map(([tag, value]) =>
    bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value)])),
  );
  return record(Buffer.concat([wallTime(at), integerField(2, step), bytesField(5, Buffer.concat(summary))]));
}

const SESSION_START = 1;

/** Length, its sum, the data, its sum. */
function record(data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([head, data, tail]);
}

/** Types of the wire. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const tag = (field: number, type: number): Buffer => varint((field << 3) | type);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

const integerField = (field: number, value: number): Buffer => Buffer.concat([tag(field, VARINT), varint(value)]);
const bytesField = (field: number, value: Buffer): Buffer =>
  Buffer.concat([tag(field, BYTES), varint(value.length), value]);

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, FIXED32), bytes]);
}

function wallTime(at: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(at / 1000);
  return Buffer.concat([tag(1, FIXED64), bytes]);
}
