import type { SerializedError } from './errors.js';
import type { Duration } from './run-spec/duration.js';
import type { RunSpec } from './run-spec/run-spec.js';
import type { RankState } from './states.js';

/** Messages between a worker (the agent of a host) and its rank processes. JSON over the child process channel. */

export interface PeerAddress {
  readonly rank: number;
  readonly host: string;
  readonly port: number;
}

export interface CheckpointFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A checkpoint that is durable; `prefix` is the key prefix in the blob store, such as `runs/<job>/step-200`. */
export interface CheckpointRecord {
  readonly step: number;
  /** Samples consumed so far. */
  readonly position: number;
  readonly prefix: string;
  readonly bytes: number;
  readonly manifestSha256: string;
  readonly worldSize: number;
  /** Metrics at that step, for retention by the best. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly files: readonly CheckpointFile[];
}

/** What a rank needs to begin. */
export interface RankStart {
  readonly jobId: string;
  readonly jobName: string;
  readonly epoch: number;
  readonly rank: number;
  readonly worldSize: number;
  /** Shared by the ranks of this attempt only; base64url, 32 bytes. Never logged. */
  readonly secret: string;
  readonly spec: RunSpec;
  /** Complete checkpoints, newest first; empty for a fresh start. */
  readonly checkpoints: readonly Pick<CheckpointRecord, 'step' | 'prefix' | 'manifestSha256'>[];
  /** Stop there, after an evaluation and with a checkpoint, if the run is longer. */
  readonly pauseAt?: Duration;
  /** The checkpoint of another job that `model.init` names; missing: it names none, or one that is gone. */
  readonly init?: Pick<CheckpointRecord, 'step' | 'prefix' | 'manifestSha256'>;
  /** Likewise that of `loss.distill.from`. */
  readonly teacher?: Pick<CheckpointRecord, 'step' | 'prefix' | 'manifestSha256'>;
  readonly storageUrl: string;
  /** Directory that relative data URLs are resolved against. */
  readonly dataDir: string;
  /** Places in S3 that data may lie in as well, as `CLIPYARD_DATA_S3` lists them. */
  readonly dataS3?: string;
  /** Directory for indexes and other files that can be made again. */
  readonly cacheDir: string;
  /** Interface to listen on for other ranks, and the name they reach it by. */
  readonly listenHost: string;
  readonly advertiseHost: string;
  /** Directory of the compute engines that were built on this host. */
  readonly enginesDir?: string;
  /** Threads for the compute engine. */
  readonly threads: number;
  readonly slot: number;
}

export type WorkerToRank =
  | { readonly type: 'start'; readonly start: RankStart }
  | { readonly type: 'peers'; readonly peers: readonly PeerAddress[] }
  /** Answer to `checkpoint`: recorded; `expired` are older ones that retention lets go, for rank 0 to delete. */
  | {
      readonly type: 'checkpoint.recorded';
      readonly step: number;
      readonly expired: readonly { step: number; prefix: string }[];
    }
  /** Stop after the step at hand; `save`: with a checkpoint of it. */
  | { readonly type: 'stop'; readonly reason: string; readonly save: boolean };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What the trainer reports while it runs; the rank forwards it to its worker as it is. */
export type RankReport =
  | { readonly type: 'state'; readonly state: RankState }
  /** Sent once by each rank before its first step: the whole length of the run. */
  | {
      readonly type: 'plan';
      readonly totalSteps: number;
      readonly startStep: number;
      /** `pauseAt` of the start, in steps. */
      readonly pauseStep: number | null;
      readonly parameters: number;
      readonly trainSamples: number;
      readonly engine: string;
    }
  /** `values` by metric name, as documented in METRICS. `step` counts finished steps. Sent by rank 0, except `rank/…` values. */
  | {
      readonly type: 'metrics';
      readonly step: number;
      readonly at: number;
      readonly values: Readonly<Record<string, number>>;
    }
  | { readonly type: 'checkpoint'; readonly checkpoint: CheckpointRecord }
  /** Results of an evaluation; `samples` are pictures with predictions, for people. */
  | {
      readonly type: 'evaluation';
      readonly step: number;
      readonly final: boolean;
      readonly values: Readonly<Record<string, number>>;
      readonly results: readonly TaskResult[];
      readonly samples: readonly PredictionSample[];
    }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly at: number;
      readonly message: string;
      readonly fields?: Readonly<Record<string, unknown>>;
    };

export type RankToWorker =
  | RankReport
  | { readonly type: 'ready' }
  | { readonly type: 'listening'; readonly host: string; readonly port: number }
  | { readonly type: 'failed'; readonly error: SerializedError }
  /** The rank ended because it was told to, after finishing its step. */
  | { readonly type: 'stopped' }
  | { readonly type: 'done' };

/** What one task of an evaluation found. */
export interface TaskResult {
  /** Its `name`, or else its type. */
  readonly task: string;
  readonly type: string;
  /** As the metrics `eval/<task>/…`. */
  readonly values: Readonly<Record<string, number>>;
  /** What else there is to know: numbers of samples, accuracies by class, the strengths that were tried. */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface PredictionSample {
  /** PNG, base64, at most 16 KiB. */
  readonly png: string;
  readonly caption: string;
  /** Best first; probabilities sum to at most 1. */
  readonly predictions: readonly { readonly label: string; readonly probability: number }[];
  readonly truth?: string;
  readonly group?: string;
}

/** Names of the metrics that ranks report, with unit and meaning. */
export const METRICS = {
  loss: 'Loss over the global batch, nats a sample',
  'loss/contrastive': 'With distillation: the part of the loss that is not',
  'loss/distillation': 'With distillation: its part of the loss, the weight applied',
  logit_scale: 'exp(logit scale): the factor on the cosine similarities',
  logit_bias: 'Added to each of these products, by the loss `siglip`',
  lr: 'Learning rate of this step',
  'batch/accuracy': 'Share of the global batch whose own caption has the highest similarity, 0 to 1',
  grad_norm: 'Global norm of the gradient, before clipping',
  'speed/samples_per_second': 'Samples a second over all ranks, since the last report',
  'time/step_ms': 'Time of a step, ms, mean since the last report',
  'time/data_ms': 'Of that, waiting for data, ms',
  'time/encode_ms': 'Of that, encoding, ms',
  'time/communicate_ms': 'Of that, waiting in collectives, ms',
  'time/loss_ms': 'Of that, loss, ms',
  'time/backward_ms': 'Of that, backward, ms',
  'time/optimizer_ms': 'Of that, optimizer, ms',
  'health/scale_at_clamp':
    'Every `health.everySteps` steps, as all of `health/…`: 1 where the logit scale stands at a bound of its range, else 0',
  'health/image_to_text/entropy':
    "Entropy of a picture's softmax over the captions of the batch, nats, mean over pictures; at most ln(batch)",
  'health/text_to_image/entropy': 'The same of captions over pictures',
  'health/image_to_text/accuracy': 'Share of the pictures whose own caption is the most similar, 0 to 1',
  'health/text_to_image/accuracy': 'Share of the captions whose own picture is the most similar, 0 to 1',
  'health/alignment':
    "Mean squared distance of a picture's embedding to its caption's, 0 to 4 (Wang and Isola, arXiv 2005.10242)",
  'health/image/uniformity':
    'ln of the mean of exp(-2 d²) over pairs of pictures, d their distance: 0 where all are the same, about -4 where they are spread evenly (the same paper)',
  'health/text/uniformity': 'The same of captions',
  'health/image/rank':
    'Effective rank of the embeddings of pictures, 1 to the smallest of 128, batch and dimension (RankMe, arXiv 2210.02885)',
  'health/text/rank': 'The same of captions',
  'health/modality_gap': 'Distance between the means of both kinds of embeddings, 0 to 2 (arXiv 2203.02053)',
  'health/duplicates/caption':
    'Share of the samples of the batch whose caption, as tokens, another one has too, 0 to 1',
  'health/duplicates/image': 'The same of pictures, byte by byte',
  'health/image/grad_norm': "Norm of the gradient of the image tower's parameters, before clipping",
  'health/text/grad_norm': "The same of the text tower's",
  'time/health_ms': 'Time that this measurement took, ms',
  'data/bad_samples': 'Unusable samples so far, skipped and replaced',
  'rank/rss_mib':
    'Peak resident memory of the rank process, MiB. Of each rank as `rank/<rank>/rss_mib`, of rank 0 under this name too, here and below',
  'rank/data_ms': 'Of the time of a step, waiting for data on this rank, ms',
  'rank/communicate_ms': 'Of the time of a step, waiting in collectives on this rank, ms',
  'rank/sent_mib': 'Sent to other ranks by this one since it started, MiB',
  'eval/zeroshot/top1':
    'Zero-shot accuracy, 0 to 1: the share of pictures whose own class scores highest. A task with a `name` has it in place of `zeroshot` or `retrieval`, here and below',
  'eval/zeroshot/top5': 'Share of pictures whose own class is among the five that score highest, 0 to 1',
  'eval/zeroshot/mean_per_class': 'Mean over classes of their accuracy, 0 to 1',
  'eval/zeroshot/seen': 'Zero-shot accuracy on classes shown in training, 0 to 1',
  'eval/zeroshot/unseen': 'Zero-shot accuracy on classes never shown, 0 to 1',
  'eval/linear-probe/top1': 'Accuracy of a linear probe, 0 to 1 (also top5, mean_per_class, seen, unseen)',
  'eval/linear-probe/strength': 'L2 strength that was chosen for it',
  'eval/few-shot/shots_1': 'Accuracy after one sample a class, 0 to 1, mean over draws (also shots_2, …)',
  'eval/few-shot/shots_1_std': 'Standard deviation of it over draws',
  'eval/retrieval/image_to_text/r1':
    'Recall at 1, 0 to 1 (also r5, r10): the share of pictures with one of their own captions among the k most similar. Ties count as if in random order',
  'eval/retrieval/image_to_text/mean_rank': 'Mean rank of the first own caption, from 1',
  'eval/retrieval/image_to_text/median_rank': 'Median of these ranks',
  'eval/retrieval/text_to_image/r1':
    'Recall at 1, 0 to 1 (also r5, r10), of captions, each of which looks for one of its own pictures',
  'eval/retrieval/text_to_image/mean_rank': 'Mean rank of the first own picture, from 1',
  'eval/retrieval/text_to_image/median_rank': 'Median of these ranks',
  'eval/zeroshot/corrupted/top1':
    'With `evaluate.corruptions`: mean of the accuracies on corrupted pictures, over types and severities. Of retrieval `corrupted/image_to_text/r1` and `corrupted/text_to_image/r1`, here and below',
  'eval/zeroshot/corrupted/top1_relative': 'What part of the accuracy on the pictures as they are that is',
  'eval/zeroshot/corrupted/jpeg/top1':
    'Mean over severities of one type (also each other type of `evaluate.corruptions`)',
} as const;
