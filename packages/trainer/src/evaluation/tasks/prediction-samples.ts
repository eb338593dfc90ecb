import { LIMITS, type PredictionSample } from '@clipyard/contracts';
import { encodePng, singleSpaced } from '@clipyard/data';
import type { EmbeddedShare } from '../embedded-share.js';
import type { EvaluationShare } from '../evaluation-share.js';
import type { ZeroShotClassifier } from './zero-shot.js';

const SHOWN_SAMPLES = 3;
const SHOWN_PREDICTIONS = 3;

export interface PredictionOptions {
  readonly share: EvaluationShare;
  readonly embedded: EmbeddedShare;
  readonly classifier: ZeroShotClassifier;
  /** exp(logit scale). */
  readonly scale: number;
  readonly signal: AbortSignal;
}

/** A few pictures from all over a rank's share with what a classifier makes of them; one of a held-out class, if there is any. */
export async function predictSamples(options: PredictionOptions): Promise<PredictionSample[]> {
  const { share, embedded, classifier, scale, signal } = options;
  const { dataset } = share;
  const dimension = embedded.images.length / embedded.captions.length;
  const samples: PredictionSample[] = [];
  for (const i of shown(embedded)) {
    const { pixels } = await share.sample(embedded.indices[i]!, signal);
    const png = await encodePng(pixels, dataset.imageSize);
    if (png.byteLength > LIMITS.predictionPngBytes) continue;
    const image = embedded.images.subarray(i * dimension, (i + 1) * dimension);
    const probabilities = softmax(similarities(classifier, image), scale);
    const best = [...probabilities.keys()].sort((a, b) => probabilities[b]! - probabilities[a]!);
    const truth = dataset.classes?.names[embedded.labels[i]!];
    const group = embedded.groups[i];
    samples.push({
      png: Buffer.from(png).toString('base64'),
      caption: singleSpaced(embedded.captions[i]!),
      predictions: best
        .slice(0, SHOWN_PREDICTIONS)
        .map((c) => ({ label: classifier.names[c]!, probability: probabilities[c]! })),
      ...(truth === undefined ? {} : { truth }),
      ...(group === undefined ? {} : { group }),
    });
  }
  return samples;
}

/** Indices of the pictures to show. */
function shown({ captions, groups }: EmbeddedShare): number[] {
  const count = captions.length;
  const spread = Array.from({ length: SHOWN_SAMPLES }, (_, k) =>
    Math.floor(((2 * k + 1) * count) / (2 * SHOWN_SAMPLES)),
  );
  const unseen = groups.indexOf('unseen', spread[SHOWN_SAMPLES - 1]);
  return [...new Set(unseen < 0 ? spread : [...spread.slice(0, -1), unseen])].filter((i) => i < count);
}

/** Cosine similarity of one picture [D] to every class, [C]. */
function similarities({ names, weights }: ZeroShotClassifier, image: Float32Array): Float32Array {
  const dimension = image.length;
  return Float32Array.from(names, (_, c) => {
    let dot = 0;
    for (let d = 0; d < dimension; d++) dot += weights[c * dimension + d]! * image[d]!;
    return dot;
  });
}

/** Probabilities of classes: the softmax of the similarities times the model's own logit scale. */
function softmax(values: Float32Array, scale: number): Float32Array {
  const highest = values.reduce((a, b) => Math.max(a, b));
  const exponentials = values.map((value) => Math.exp(scale * (value - highest)));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}
