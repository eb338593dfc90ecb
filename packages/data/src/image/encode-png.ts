import sharp from 'sharp';

/** RGB bytes [S, S, 3] as a PNG file. */
export async function encodePng(pixels: Uint8Array, imageSize: number): Promise<Uint8Array> {
  return sharp(pixels, { raw: { width: imageSize, height: imageSize, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}
