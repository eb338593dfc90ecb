import type { SampleGroup } from '@clipyard/data';
import { contentHash } from './content-ids.js';
import type { Embedder } from './embedder.js';
import type { EvaluationShare } from './evaluation-share.js';

/** The embedded samples of a rank's share, n of them; pictures are gone. */
export interface EmbeddedShare {
  /** Index in the data set of each. */
  readonly indices: readonly number[];
  /** [n,D]. */
  readonly images: Float32Array;
  /** What the image tower gives before its projection, [n,F]; only where the embedder gives it. */
  readonly features?: Float32Array;
  /** Hashes of the pictures, as `contentHash` gives them. */
  readonly pictures: Int32Array;
  readonly captions: readonly string[];
  /** Classes; -1 where a sample has none. */
  readonly labels: Int32Array;
  readonly groups: readonly (SampleGroup | undefined)[];
}

/** Embeds the pictures of a share, chunk by chunk. */
export async function embedShare(
  embedder: Embedder,
  share: EvaluationShare,
  signal: AbortSignal,
): Promise<EmbeddedShare> {
  const images: Float32Array[] = [];
  const features: Float32Array[] = [];
  const pictures: Int32Array[] = [];
  const indices: number[] = [];
  const captions: string[] = [];
  const labels: number[] = [];
  const groups: (SampleGroup | undefined)[] = [];
  const { pictureBytes } = embedder;
  for await (const chunk of share.chunks(signal)) {
    const encoded = await embedder.images(chunk.pixels, signal);
    images.push(encoded.image!);
    if (encoded.features !== undefined) features.push(encoded.features);
    chunk.captions.forEach((_, i) => {
      pictures.push(contentHash(chunk.pixels.subarray(i * pictureBytes, (i + 1) * pictureBytes)));
    });
    indices.push(...chunk.indices);
    captions.push(...chunk.captions);
    labels.push(...chunk.labels);
    groups.push(...chunk.groups);
  }
  return {
    indices,
    images: joined(Float32Array, images),
    ...(embedder.featureWidth === 0 ? {} : { features: joined(Float32Array, features) }),
    pictures: joined(Int32Array, pictures),
    captions,
    labels: Int32Array.from(labels),
    groups,
  };
}

function joined<T extends Float32Array | Int32Array>(Type: new (length: number) => T, parts: readonly T[]): T {
  const out = new Type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
