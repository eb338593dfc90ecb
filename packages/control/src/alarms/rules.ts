import type { AlarmCode, RunSpec } from '@clipyard/contracts';

/** What a rule looks at: a report of rank 0, and what is remembered of the run. */
export interface Sight {
  readonly spec: RunSpec;
  readonly worldSize: number;
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
  /** Newest values of all ranks, this report's among them. */
  readonly latest: Readonly<Record<string, number>>;
  /** Means of the reports before, the recent ones weighing more; undefined before there were enough. */
  readonly usual: { readonly loss: number; readonly gradientNorm: number } | undefined;
}

/** `good` is stricter than not `bad`: in between, an alarm stays as it is. */
export interface Finding {
  readonly verdict: 'bad' | 'good' | 'between';
  readonly message: string;
}

export interface Rule {
  readonly code: AlarmCode;
  /** Findings in a row that raise and clear it. */
  readonly raiseAfter: number;
  readonly clearAfter: number;
  /** Undefined: the report says nothing about it. */
  look(sight: Sight): Finding | undefined;
}

const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;

const verdict = (bad: boolean, good: boolean): Finding['verdict'] => (bad ? 'bad' : good ? 'good' : 'between');

/** Loss of guessing: every sample of the batch as likely as any other. */
const chance = ({ spec }: Sight): number => Math.log(spec.batch.global);

/** Losses that are ln(batch) for guessing. */
function isPlain({ spec }: Sight): boolean {
  const { loss } = spec;
  return loss.type === 'clip' && loss.labelSmoothing === 0 && loss.distill === undefined && spec.batch.global >= 4;
}

/** Steps after the warm-up in which a run may still stand where guessing does. */
const PATIENCE_STEPS = 200;

export const RULES: readonly Rule[] = [
  {
    code: 'collapse',
    raiseAfter: 2,
    clearAfter: 2,
    look({ spec, values }) {
      const [image, text] = [values['health/image/rank'], values['health/text/rank']];
      const [imageUniformity = -4, textUniformity = -4] = [
        values['health/image/uniformity'],
        values['health/text/uniformity'],
      ];
      if (image === undefined || text === undefined || spec.batch.global < 16) return undefined;
      const side = image < text ? 'pictures' : 'captions';
      const rank = Math.min(image, text);
      const uniformity = Math.max(imageUniformity, textUniformity);
      return {
        verdict: verdict(rank < 2 || uniformity > -0.1, rank > 2.5 && uniformity < -0.2),
        message: `The embeddings of ${side} have an effective rank of ${rank.toFixed(1)} (uniformity ${uniformity.toFixed(2)}): they are nearly the same for all samples.`,
      };
    },
  },
  {
    code: 'scale_at_clamp',
    raiseAfter: 3,
    clearAfter: 2,
    look({ values }) {
      const at = values['health/scale_at_clamp'];
      if (at === undefined) return undefined;
      const scale = values.logit_scale === undefined ? '' : `, ${values.logit_scale.toPrecision(3)}`;
      return {
        verdict: verdict(at === 1, at === 0),
        message: `The logit scale has stood at its bound${scale} in three measurements.`,
      };
    },
  },
  {
    code: 'false_negatives',
    raiseAfter: 2,
    clearAfter: 2,
    look({ spec, values }) {
      const [captions, pictures] = [values['health/duplicates/caption'], values['health/duplicates/image']];
      if (captions === undefined || pictures === undefined || spec.loss.maskDuplicates !== 'none') return undefined;
      const share = Math.max(captions, pictures);
      return {
        verdict: verdict(share >= 0.5, share < 0.4),
        message: `${percent(share)} of the ${captions >= pictures ? 'captions' : 'pictures'} of a batch are there more than once, and each counts as a wrong answer for the others.`,
      };
    },
  },
  {
    code: 'learning_rate',
    raiseAfter: 2,
    clearAfter: 10,
    look(sight) {
      const { loss, grad_norm: norm } = sight.values;
      if (loss === undefined || norm === undefined) return undefined;
      const { usual } = sight;
      const worse = isPlain(sight) && loss > 1.5 * chance(sight) + 1;
      const spike = usual !== undefined && loss > 2 * usual.loss + 1;
      const explodes = usual !== undefined && norm > 20 * usual.gradientNorm && norm > 1;
      const calm = usual === undefined || (loss < 1.5 * usual.loss + 0.5 && norm < 5 * usual.gradientNorm);
      const figures = `the loss is ${loss.toPrecision(3)} (guessing would be ${chance(sight).toPrecision(3)})`;
      return {
        verdict: verdict(worse || spike || explodes, calm && !(isPlain(sight) && loss > 1.2 * chance(sight) + 0.5)),
        message: explodes
          ? `The gradient norm is ${norm.toPrecision(3)}, over 20 times what was usual; ${figures}.`
          : `${figures[0]!.toUpperCase()}${figures.slice(1)}${spike && usual !== undefined ? `, where ${usual.loss.toPrecision(3)} was usual` : ''}.`,
      };
    },
  },
  {
    code: 'plateau',
    raiseAfter: 5,
    clearAfter: 3,
    look(sight) {
      const { loss } = sight.values;
      if (loss === undefined || !isPlain(sight)) return undefined;
      if (sight.step < sight.spec.schedule.warmupSteps + PATIENCE_STEPS) return undefined;
      const share = loss / chance(sight);
      return {
        verdict: verdict(share >= 0.97 && share < 1.3, share < 0.93),
        message: `The loss is ${loss.toPrecision(3)}, and guessing among ${sight.spec.batch.global} samples would give ${chance(sight).toPrecision(3)}.`,
      };
    },
  },
  {
    code: 'data_starvation',
    raiseAfter: 5,
    clearAfter: 5,
    look({ values }) {
      const [data, step] = [values['time/data_ms'], values['time/step_ms']];
      if (data === undefined || step === undefined || step === 0) return undefined;
      const share = data / step;
      return {
        verdict: verdict(share > 0.3, share < 0.15),
        message: `${percent(share)} of a step (${data.toFixed(0)} of ${step.toFixed(0)} ms) goes by until its samples are there.`,
      };
    },
  },
  {
    code: 'straggler',
    raiseAfter: 8,
    clearAfter: 5,
    look({ worldSize, values, latest }) {
      const step = values['time/step_ms'];
      if (worldSize < 2 || step === undefined || step === 0) return undefined;
      const waits: number[] = [];
      for (let rank = 0; rank < worldSize; rank++) {
        const wait = latest[`rank/${rank}/communicate_ms`];
        if (wait === undefined) return undefined;
        waits.push(wait);
      }
      // It is waited for: all others spend the time in collectives that it does not.
      const rank = waits.indexOf(Math.min(...waits));
      const others = waits.filter((_, other) => other !== rank);
      const lag = Math.min(...others) - waits[rank]!;
      return {
        verdict: verdict(lag > 0.3 * step, lag < 0.15 * step),
        message: `Rank ${rank} is waited for: the others spend ${lag.toFixed(0)} of the ${step.toFixed(0)} ms of a step on it.`,
      };
    },
  },
];
