import assert from 'node:assert';
import { endianness } from 'node:os';

/** Mean and standard deviation of each channel, of values in [0, 1]. */
export interface PixelStatistics {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** CLIP's (open_clip's OPENAI_DATASET_MEAN and OPENAI_DATASET_STD). */
export const CLIP_PIXEL_STATISTICS: PixelStatistics = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/** What each byte becomes, by channel. */
type Tables = readonly [Float32Array, Float32Array, Float32Array];

const tablesOf = new WeakMap<PixelStatistics, Tables>();

function tables(statistics: PixelStatistics): Tables {
  let made = tablesOf.get(statistics);
  if (made === undefined) {
    const { mean, std } = statistics;
    const table = (channel: 0 | 1 | 2): Float32Array =>
      Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean[channel]) / std[channel]);
    made = [table(0), table(1), table(2)];
    tablesOf.set(statistics, made);
  }
  return made;
}

/**
 * (pixel / 255 - mean) / std by channel: RGB bytes [.., 3] to float32 of the same shape, written to `out` when given.
 * A piece of a batch may be done at a time, so that float32 pictures of a whole batch need not exist.
 */
export function normalizePixels(
  pixels: Uint8Array,
  statistics: PixelStatistics,
  out: Float32Array = new Float32Array(pixels.length),
): Float32Array {
  assert(pixels.length % 3 === 0 && out.length === pixels.length, 'three channels a pixel, as many values out as in');
  const [red, green, blue] = tables(statistics);
  for (let i = fourPixelsAtATime(pixels, red, green, blue, out); i < pixels.length; i += 3) {
    out[i] = red[pixels[i]!]!;
    out[i + 1] = green[pixels[i + 1]!]!;
    out[i + 2] = blue[pixels[i + 2]!]!;
  }
  return out;
}

/** Reads four pixels as three words, which takes a quarter less time, where they lie so. Returns how many values it wrote. */
function fourPixelsAtATime(
  pixels: Uint8Array,
  red: Float32Array,
  green: Float32Array,
  blue: Float32Array,
  out: Float32Array,
): number {
  if (pixels.byteOffset % 4 !== 0 || !LITTLE_ENDIAN) return 0;
  const words = new Int32Array(pixels.buffer, pixels.byteOffset, 3 * Math.floor(pixels.length / 12));
  let i = 0;
  for (let w = 0; w < words.length; w += 3, i += 12) {
    const [a, b, c] = [words[w]!, words[w + 1]!, words[w + 2]!];
    out[i] = red[a & 255]!;
    out[i + 1] = green[(a >>> 8) & 255]!;
    out[i + 2] = blue[(a >>> 16) & 255]!;
    out[i + 3] = red[a >>> 24]!;
    out[i + 4] = green[b & 255]!;
    out[i + 5] = blue[(b >>> 8) & 255]!;
    out[i + 6] = red[(b >>> 16) & 255]!;
    out[i + 7] = green[b >>> 24]!;
    out[i + 8] = blue[c & 255]!;
    out[i + 9] = red[(c >>> 8) & 255]!;
    out[i + 10] = green[(c >>> 16) & 255]!;
    out[i + 11] = blue[c >>> 24]!;
  }
  return i;
}

const LITTLE_ENDIAN = endianness() === 'LE';
