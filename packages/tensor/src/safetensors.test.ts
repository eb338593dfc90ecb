import { describe, expect, it } from 'vitest';
import { narrowToBfloat16, narrowToFloat16 } from './half.js';
import { readSafetensors, tensorFloats, tensorValues } from './safetensors-read.js';
import { type SafetensorsTensor, writeSafetensors } from './safetensors-write.js';

/** Written by Python's safetensors 0.8.0 (numpy 2.4.6): `save(tensors, metadata={'format': 'pt'})` of the tensors below. */
const REFERENCE = Buffer.from(
  'yAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJ6LmNvdW50Ijp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlswLDhdfSwiYS5lbXB0eSI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMCw0XSwiZGF0YV9vZmZzZXRzIjpbOCw4XX0sImIud2VpZ2h0Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyLDNdLCJkYXRhX29mZnNldHMiOls4LDMyXX0sImEuaWRzIjp7ImR0eXBlIjoiSTMyIiwic2hhcGUiOlsyLDJdLCJkYXRhX29mZnNldHMiOlszMiw0OF19LCLDqSI6eyJkdHlwZSI6IkJGMTYiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOls0OCw1Ml19LCJhLmJpYXMiOnsiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOls1Miw1Nl19LCJtYXNrIjp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls1Niw1OV19fSAgICAgICAHAAAAAAAAAAAAAAAAAIA+AAAAPwAAQD8AAIA/AACgPwEAAAD+////AwAAAAQAAACAP0DAAD6AwAD/AQ==',
  'base64',
);

const TENSORS: SafetensorsTensor[] = [
  { name: 'b.weight', dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25) },
  {
    name: 'a.bias',
    dtype: 'F16',
    shape: [2],
    data: narrowToFloat16(Float32Array.of(1.5, -2.25), new Uint16Array(2)),
  },
  { name: 'z.count', dtype: 'I64', shape: [], data: BigInt64Array.of(7n) },
  { name: 'a.ids', dtype: 'I32', shape: [2, 2], data: Int32Array.of(1, -2, 3, 4) },
  { name: 'mask', dtype: 'U8', shape: [3], data: Uint8Array.of(0, 255, 1) },
  { name: 'a.empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
  { name: 'é', dtype: 'BF16', shape: [2], data: narrowToBfloat16(Float32Array.of(1, -3), new Uint16Array(2)) },
];

async function bytesOf(image: ReturnType<typeof writeSafetensors>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of image.chunks()) chunks.push(chunk);
  const file = Buffer.concat(chunks);
  expect(file.length).toBe(image.bytes);
  return file;
}

/** A file with this header and `dataBytes` of zeros. */
function fileOf(header: unknown, dataBytes: number): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const file = Buffer.alloc(8 + json.length + dataBytes);
  file.writeBigUInt64LE(BigInt(json.length));
  json.copy(file, 8);
  return file;
}

describe('writeSafetensors', () => {
  it('writes the bytes that the reference implementation writes', async () => {
    expect((await bytesOf(writeSafetensors(TENSORS, { format: 'pt' }))).equals(REFERENCE)).toBe(true);
    expect((await bytesOf(writeSafetensors([]))).toString('base64')).toBe('CAAAAAAAAAB7fSAgICAgIA==');
  });

  it('does not copy tensor data', async () => {
    const data = new Float32Array(4);
    const chunks: Uint8Array[] = [];
    for await (const chunk of writeSafetensors([{ name: 'a', dtype: 'F32', shape: [4], data }]).chunks()) {
      chunks.push(chunk);
    }
    expect(chunks[1]!.buffer).toBe(data.buffer);
  });

  it('refuses data that does not fit the shape', () => {
    const wrong: SafetensorsTensor = { name: 'a', dtype: 'F32', shape: [3], data: new Float32Array(4) };
    expect(() => writeSafetensors([wrong])).toThrow(/16 bytes are given/);
  });
});

describe('readSafetensors', () => {
  it('reads what the reference implementation wrote', () => {
    const file = readSafetensors(REFERENCE);
    expect(file.metadata).toEqual({ format: 'pt' });
    expect([...file.entries.keys()].sort()).toEqual(TENSORS.map(({ name }) => name).sort());
    for (const { name, dtype, shape, data } of TENSORS) {
      const entry = file.entries.get(name)!;
      expect([entry.dtype, entry.shape]).toEqual([dtype, shape]);
      expect(tensorValues(entry, file.data)).toEqual(data);
    }
    expect([...tensorFloats(file.entries.get('é')!, file.data)]).toEqual([1, -3]);
    expect([...tensorFloats(file.entries.get('a.bias')!, file.data)]).toEqual([1.5, -2.25]);
    expect(() => tensorFloats(file.entries.get('a.ids')!, file.data)).toThrow(/I32/);
  });

  const entry = (start: number, end: number, over = {}) => ({
    dtype: 'F32',
    shape: [(end - start) / 4],
    data_offsets: [start, end],
    ...over,
  });
  it.each([
    ['nothing', Buffer.alloc(0), /fewer than/],
    ['a huge header', Buffer.from('ffffffffffffff7f', 'hex'), /claims/],
    ['a cut header', fileOf({ a: entry(0, 4) }, 4).subarray(0, 20), /header ends/],
    ['no JSON', fileOf('{"a":', 0), /not JSON/],
    ['an array', fileOf('[]', 0), /not a JSON object/],
    ['cut data', fileOf({ a: entry(0, 8) }, 4), /tensors end/],
    ['trailing bytes', fileOf({ a: entry(0, 4) }, 5), /tensors end/],
    ['a hole', fileOf({ a: entry(0, 4), b: entry(8, 12) }, 12), /begins at 8/],
    ['an overlap', fileOf({ a: entry(0, 8), b: entry(4, 12) }, 12), /begins at 4/],
    ['a wrong shape', fileOf({ a: entry(0, 4, { shape: [2] }) }, 4), /its shape needs 8/],
    ['a negative dimension', fileOf({ a: entry(0, 4, { shape: [-1] }) }, 4), /valid shape/],
    ['an unknown type', fileOf({ a: entry(0, 4, { dtype: 'F8' }) }, 4), /type F8/],
    ['wrong metadata', fileOf({ __metadata__: { a: 1 } }, 0), /__metadata__/],
  ])('refuses a file with %s', (_, file, message) => {
    expect(() => readSafetensors(file)).toThrow(expect.objectContaining({ code: 'checkpoint_damaged' }));
    expect(() => readSafetensors(file)).toThrow(message);
  });
});
