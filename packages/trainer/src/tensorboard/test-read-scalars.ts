import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maskedCrc32c } from './crc32c.js';

/** For tests: the points of one tag in a directory of event files, as TensorBoard would show them. */
export async function readScalars(directory: string, tag: string): Promise<[number, number][]> {
  let points: [number, number][] = [];
  for (const file of (await readdir(directory)).sort()) {
    const records = readRecords(await readFile(join(directory, file)));
    const version = fieldsOf(records[0]!).get(3)?.[0];
    if (version?.toString() !== 'brain.Event:2') throw new Error(`${file} does not begin with the version`);
    for (const record of records.slice(1)) {
      const event = fieldsOf(record);
      const step = Number(event.get(2)?.[0] ?? 0);
      // A session that starts purges what was read of steps from there on.
      if (event.has(7)) points = points.filter(([other]) => other < step);
      for (const summary of event.get(5) ?? []) {
        for (const value of fieldsOf(summary as Buffer).get(1) ?? []) {
          const scalar = fieldsOf(value as Buffer);
          if (scalar.get(1)![0]!.toString() === tag) points.push([step, Number(scalar.get(2)![0])]);
        }
      }
    }
  }
  return points;
}

function readRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    if (bytes.readUInt32LE(at + 8) !== maskedCrc32c(bytes.subarray(at, at + 8))) throw new Error('sum of a length');
    if (bytes.readUInt32LE(at + 12 + length) !== maskedCrc32c(data)) throw new Error('sum of a record');
    records.push(data);
    at += 16 + length;
  }
  return records;
}

/** The fields of a protobuf message by number. */
function fieldsOf(message: Buffer): Map<number, (number | Buffer)[]> {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  const value = (type: number): number | Buffer => {
    if (type === 0) return varint();
    if (type === 1) return message.readDoubleLE((at += 8) - 8);
    if (type === 5) return message.readFloatLE((at += 4) - 4);
    const length = varint();
    return message.subarray(at, (at += length));
  };
  while (at < message.length) {
    const key = varint();
    const field = key >>> 3;
    fields.set(field, [...(fields.get(field) ?? []), value(key & 7)]);
  }
  return fields;
}
