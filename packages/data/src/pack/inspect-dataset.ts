import { type Cancellable, ClipyardError } from '@clipyard/contracts';
import { singleSpaced } from '../caption.js';
import { type Dataset, isBadSample } from '../dataset.js';
import { EventLoopTurns } from '../event-loop-turns.js';

/** Samples read at once. */
const READ_CONCURRENCY = 16;
/** Messages of bad samples that are kept. */
const MAX_EXAMPLES = 10;

export interface InspectOptions extends Cancellable {
  /** At most this many samples are read, spread evenly; default 1000. */
  readonly limit?: number;
}

/** What a data set holds, for people. */
export interface DatasetSummary {
  readonly samples: number;
  readonly shards: number | undefined;
  readonly classes: number | undefined;
  /** Samples that were read, and those of them that are unusable. */
  readonly read: number;
  readonly bad: number;
  /** What is wrong with the first few. */
  readonly problems: readonly string[];
  /** Of the samples that were read. */
  readonly captions: {
    readonly distinct: number;
    readonly words: number;
    readonly meanWords: number;
    readonly maxWords: number;
    readonly examples: readonly string[];
  };
}

/** Reads samples all over a data set and sums up what they are. */
export async function inspectDataset(dataset: Dataset, options: InspectOptions = {}): Promise<DatasetSummary> {
  const read = Math.min(dataset.size, options.limit ?? 1000);
  const captions = new Map<number, string>();
  const problems = new Map<number, string>();
  const turns = new EventLoopTurns();
  const pending = new Array(read).keys();
  await Promise.all(
    Array.from({ length: Math.min(READ_CONCURRENCY, read) }, async () => {
      for (const i of pending) {
        options.signal?.throwIfAborted();
        try {
          const { caption } = await dataset.read(Math.floor((i * dataset.size) / read), { signal: options.signal });
          captions.set(i, singleSpaced(caption));
        } catch (error) {
          if (!(error instanceof ClipyardError && isBadSample(error))) throw error;
          problems.set(i, error.message);
        }
        await turns.maybeYield();
      }
    }),
  );

  const words = new Set<string>();
  let totalWords = 0;
  let maxWords = 0;
  for (const caption of captions.values()) {
    const split = caption.toLowerCase().split(/\s+/);
    for (const word of split) words.add(word);
    totalWords += split.length;
    maxWords = Math.max(maxWords, split.length);
  }
  const inOrder = <T>(found: Map<number, T>) => [...found].sort(([a], [b]) => a - b).map(([, value]) => value);
  return {
    samples: dataset.size,
    shards: dataset.shardSizes?.length,
    classes: dataset.classes?.names.length,
    read,
    bad: problems.size,
    problems: inOrder(problems).slice(0, MAX_EXAMPLES),
    captions: {
      distinct: new Set(captions.values()).size,
      words: words.size,
      meanWords: totalWords / Math.max(1, captions.size),
      maxWords,
      examples: inOrder(captions).slice(0, MAX_EXAMPLES),
    },
  };
}
