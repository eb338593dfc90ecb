import type { DatasetSummary } from '@clipyard/data';
import { formatCount } from '../output/format.js';

/** A data source as people write it, without the defaults. */
export type SourceInput = Readonly<{ type: string }> & Readonly<Record<string, unknown>>;

export interface SpecTextInput {
  readonly name: string;
  readonly train: SourceInput;
  readonly eval: SourceInput | undefined;
  readonly summary: Pick<DatasetSummary, 'samples' | 'captions'>;
}

/** Steps of a first run: enough to see it learn. */
const FIRST_STEPS = 300;
/** Samples from which a model of more than two blocks a tower has something to learn from. */
const SMALL_MODEL_SAMPLES = 2_000;

/** A run spec for a first run on this data, with comments on what one changes next. */
export function specText({ name, train, eval: held, summary }: SpecTextInput): string {
  const { samples, captions } = summary;
  const batch = batchFor(samples);
  const epochs = Math.max(1, Math.ceil((FIRST_STEPS * batch) / samples));
  const steps = Math.max(1, Math.floor((epochs * samples) / batch));
  const preset = samples < SMALL_MODEL_SAMPLES ? 'clip-tiny' : 'clip-small';
  return `# A first run on ${formatCount(samples)} samples; ${formatCount(captions.words)} different words in the captions that were read.
# Submit it as it is: clipyard submit <this file> --watch. Every field: docs/reference/run-spec.md.
version: 1
name: ${JSON.stringify(name)}
model:
  # Others: clipyard presets list. Larger ones want more samples, and a GPU or patience.
  preset: ${preset}
data:
  train: ${flow(train)}
  ${held === undefined ? '# Not held out: these figures say what it remembers. Name samples that it does not train on.\n  ' : ''}eval: ${flow(held ?? train)}
  evalSamples: ${Math.min(1000, Math.max(2, samples))}
  # A random crop of each picture, another one each epoch.
  augment: crop
batch:
  # Every sample is told apart from all others of this batch: larger is better, while a rank's memory (micro) stays the same.
  global: ${batch}
  micro: ${Math.min(64, batch)}
duration:
  epochs: ${epochs} # ${formatCount(steps)} steps
optimizer: { lr: 1.0e-3, weightDecay: 0.1 }
schedule: { type: cosine, warmupSteps: ${Math.floor(steps / 10)} }
resources:
  # Ranks: as many slots as are free, at most max. The result is the same but for rounding.
  world: { min: 1, max: 2 }
checkpoint: { everySteps: ${Math.max(1, Math.ceil(steps / 3))}, keepLast: 2 }
evaluate:
  everySteps: ${Math.max(1, Math.ceil(steps / 3))}
  # Does it find the caption of a picture among those of all, and the picture of a caption?
  tasks: [{ type: retrieval }]
`;
}

/** The largest power of two up to 256 of which an epoch has four. */
function batchFor(samples: number): number {
  const wanted = Math.min(256, Math.max(2, Math.floor(samples / 4)));
  return 2 ** Math.floor(Math.log2(wanted));
}

/** On one line; JSON is YAML. */
const flow = (source: SourceInput): string => JSON.stringify(source);
