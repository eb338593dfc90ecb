import { ALARMS, type AlarmCode, type JobEvent } from '@clipyard/contracts';
import { formatBytes, formatCount, formatMetric } from '../format.js';

export type Tone = 'live' | 'good' | 'bad' | 'warn' | 'hold' | 'idle';

export interface EventText {
  readonly title: string;
  readonly detail?: string;
  readonly tone: Tone;
}

type Data = Readonly<Record<string, unknown>>;

const STATE_TONES: Readonly<Record<string, Tone>> = {
  running: 'live',
  training: 'live',
  succeeded: 'good',
  failed: 'bad',
  lost: 'bad',
  recovering: 'warn',
  paused: 'hold',
  pausing: 'hold',
};

/** What an event says to people; the first line, and more where there is more. */
export function eventText({ type, epoch, data }: Pick<JobEvent, 'type' | 'epoch' | 'data'>): EventText {
  const to = String(data.to ?? '');
  const tone = STATE_TONES[to] ?? 'idle';
  const why = reasonOf(data);
  const detail = why === undefined ? {} : { detail: why };
  switch (type) {
    case 'job.state':
      return { title: `Job ${becomes(to)}`, tone, ...detail };
    case 'attempt.state':
      return { title: `Attempt ${epoch} ${becomes(to)}`, detail: why ?? ranks(data.worldSize), tone };
    case 'rank.state':
      return { title: `Rank ${data.rank} ${becomes(to)}`, tone, ...detail };
    case 'plan':
      return {
        title: `Planned steps ${number(data.startStep)} to ${number(data.totalSteps)}`,
        detail: `${number(data.parameters)} parameters, ${number(data.trainSamples)} samples, engine ${data.engine}`,
        tone: 'idle',
      };
    case 'checkpoint':
      return {
        title: `Checkpoint of step ${number(data.step)}`,
        detail: formatBytes(Number(data.bytes)),
        tone: 'good',
      };
    case 'evaluation':
      return {
        title: `Evaluation after step ${number(data.step)}`,
        detail: headline(data.values as Data),
        tone: 'live',
      };
    case 'warning':
      return { title: String(data.message), tone: 'warn', ...remedyOf(data) };
    case 'alarm':
      return data.state === 'cleared'
        ? { title: `Over: ${titleOf(data.code)}`, tone: 'good' }
        : {
            title: titleOf(data.code),
            detail: `${data.message} ${data.remedy}`,
            tone: data.severity === 'error' ? 'bad' : 'warn',
          };
    default:
      return { title: type, detail: JSON.stringify(data), tone: 'idle' };
  }
}

/** As a person would say it. */
const becomes = (state: string): string => (['succeeded', 'failed'].includes(state) ? state : `is ${state}`);

function reasonOf(data: Data): string | undefined {
  const error = data.error as { code?: string; message?: string } | null | undefined;
  if (error?.message !== undefined) return `${error.message} (${error.code})`;
  return typeof data.reason === 'string' ? data.reason : undefined;
}

function remedyOf(data: Data): { detail?: string } {
  if (typeof data.remedy === 'string') return { detail: data.remedy };
  return data.rank === undefined ? {} : { detail: `rank ${data.rank}` };
}

const titleOf = (code: unknown): string => ALARMS[code as AlarmCode]?.title ?? String(code);
const ranks = (worldSize: unknown): string => `${worldSize} ${worldSize === 1 ? 'rank' : 'ranks'}`;
const number = (value: unknown): string => formatCount(Number(value));

/** The figures that people look for first, at most three. */
function headline(values: Data): string {
  const chosen = ['zeroshot/top1', 'image_to_text/r1', 'text_to_image/r1'].flatMap((end) =>
    Object.keys(values)
      .filter((name) => name.endsWith(end))
      .slice(0, 1),
  );
  const names = chosen.length > 0 ? chosen : Object.keys(values).slice(0, 3);
  return names.map((name) => `${name.replace('eval/', '')} ${formatMetric(name, Number(values[name]))}`).join(', ');
}
