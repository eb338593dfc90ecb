import { expect, it } from 'vitest';
import { decodeImage } from './decode.js';
import { encodePng } from './encode-png.js';

it('encodes pixels to a PNG that decodes to the same pixels', async () => {
  const pixels = Uint8Array.from({ length: 12 * 12 * 3 }, (_, i) => (i * 37) % 256);
  const png = await encodePng(pixels, 12);
  expect([...png.subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
  expect([...(await decodeImage(png, { size: 12, name: 'x' }))]).toEqual([...pixels]);
});
