import sharp from 'sharp';

const ESCAPE = '\u001b[';

/**
 * A PNG as lines of 24-bit upper half blocks: a character holds two pixels, one above the other.
 * `columns` is the width in characters and in pixels; the height is half of it.
 */
export async function halfBlocks(png: Uint8Array, columns: number): Promise<string[]> {
  const { data, info } = await sharp(png)
    .flatten({ background: '#ffffff' })
    .resize(columns, columns, { fit: 'contain', background: '#ffffff', kernel: 'nearest' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const colour = (x: number, y: number) => {
    const at = (y * info.width + x) * info.channels;
    return `${data[at]};${data[at + 1]};${data[at + 2]}`;
  };
  const lines: string[] = [];
  for (let y = 0; y + 1 < info.height; y += 2) {
    let line = '';
    for (let x = 0; x < info.width; x++) line += `${ESCAPE}38;2;${colour(x, y)}m${ESCAPE}48;2;${colour(x, y + 1)}m▀`;
    lines.push(`${line}${ESCAPE}0m`);
  }
  return lines;
}
