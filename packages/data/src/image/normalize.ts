import assert from 'node:assert';

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
  const table = (mean: number, std: number) => Float32Array.from({ length: 256 }, (_, v) => (v / 255 - mean) / std);
  const { mean, std } = statistics;
  const [red, green, blue] = [table(mean[0], std[0]), table(mean[1], std[1]), table(mean[2], std[2])];
  for (let i = 0; i < pixels.length; i += 3) {
    out[i] = red[pixels[i]!]!;
    out[i + 1] = green[pixels[i + 1]!]!;
    out[i + 2] = blue[pixels[i + 2]!]!;
  }
  return out;
}
