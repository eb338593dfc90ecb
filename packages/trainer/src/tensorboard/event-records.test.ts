import { expect, it } from 'vitest';
import { crc32c } from './crc32c.js';
import { scalarRecord, versionRecord } from './event-records.js';

it('is the checksum of RFC 3720', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
});

it('frames records as TensorFlow does', () => {
  // What the `RecordWriter` of TensorBoard 2.21 makes of the same messages.
  expect(versionRecord(1_000).toString('hex')).toBe(
    '1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a',
  );
  expect(scalarRecord({ at: 1_000, step: 300, values: { loss: 0.5 } }).toString('hex')).toBe(
    '1b000000000000001a0d9e1309000000000000f03f10ac022a0d0a0b0a046c6f7373150000003f4e5c1fd1',
  );
});
