import type { Job, JobState } from '@clipyard/contracts';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { server } from '../server/server.js';
import { notify, notifyError } from '../ui/notices.js';

export type JobAction = 'cancel' | 'pause' | 'resume' | 'retry';

const FROM: Readonly<Record<JobAction, readonly JobState[]>> = {
  pause: ['queued', 'starting', 'running', 'recovering'],
  resume: ['paused'],
  retry: ['failed', 'cancelled'],
  cancel: ['queued', 'starting', 'running', 'recovering', 'pausing', 'paused'],
};
const DONE: Readonly<Record<JobAction, string>> = {
  cancel: 'is cancelled',
  pause: 'pauses',
  resume: 'is queued again',
  retry: 'is queued again',
};

/** What may be done with a job in this state. */
export const actionsOf = (state: JobState): JobAction[] =>
  (Object.keys(FROM) as JobAction[]).filter((action) => FROM[action].includes(state));

export function useJobAction() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ job, action }: { job: Job; action: JobAction }) => server[action](job.id),
    onSuccess: (job, { action }) => notify('good', `${job.name} ${DONE[action]}`),
    onError: notifyError,
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['jobs'] }),
        queries.invalidateQueries({ queryKey: ['job'] }),
      ]),
  });
}
