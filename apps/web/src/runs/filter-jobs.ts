import { isFinalJobState, type Job } from '@clipyard/contracts';

export const STATE_FILTERS = ['all', 'active', 'queued', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type StateFilter = (typeof STATE_FILTERS)[number];

export const isStateFilter = (text: string | null): text is StateFilter => STATE_FILTERS.includes(text as StateFilter);

/** Whether a job is in the states of a filter; what is active is neither at its end nor paused. */
export function isOfState({ state }: Pick<Job, 'state'>, filter: StateFilter): boolean {
  if (filter === 'all') return true;
  return filter === 'active' ? !isFinalJobState(state) && state !== 'paused' : state === filter;
}

/** Whether name, id, labels or model hold every word of the text. */
export function holdsText(job: Pick<Job, 'id' | 'name' | 'labels' | 'spec'>, text: string): boolean {
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
  const searched = [job.name, job.id, job.spec.model.preset ?? '', ...labels].join(' ').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => searched.includes(word));
}
