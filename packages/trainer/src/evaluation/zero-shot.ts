import type { Embedder } from './embedder.js';

/** A classifier made of prompts: the mean of each class's prompt embeddings, of length 1 (CLIP, section 3.1.4). */
export interface ZeroShotClassifier {
  readonly names: readonly string[];
  /** [C,D]. */
  readonly weights: Float32Array;
}

export async function buildZeroShot(
  embedder: Embedder,
  names: readonly string[],
  templates: readonly string[],
  signal: AbortSignal,
): Promise<ZeroShotClassifier> {
  const { dimension } = embedder;
  const prompts = names.flatMap((name) => templates.map((template) => template.replaceAll('{}', name)));
  const embeddings = await embedder.sharedTexts(prompts, signal);
  const weights = new Float32Array(names.length * dimension);
  for (let c = 0; c < names.length; c++) {
    const row = weights.subarray(c * dimension, (c + 1) * dimension);
    for (let t = 0; t < templates.length; t++) {
      const offset = (c * templates.length + t) * dimension;
      for (let d = 0; d < dimension; d++) row[d]! += embeddings[offset + d]!;
    }
    const norm = Math.hypot(...row);
    for (let d = 0; d < dimension; d++) row[d]! /= norm;
  }
  return { names, weights };
}

/** Cosine similarity of one picture [D] to every class, [C]. */
export function classSimilarities({ names, weights }: ZeroShotClassifier, image: Float32Array): Float32Array {
  const dimension = image.length;
  return Float32Array.from(names, (_, c) => {
    let dot = 0;
    for (let d = 0; d < dimension; d++) dot += weights[c * dimension + d]! * image[d]!;
    return dot;
  });
}

/** Index of the largest value; the first of equal ones. */
export const argMax = (values: Float32Array): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
