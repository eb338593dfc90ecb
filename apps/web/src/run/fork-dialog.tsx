import { type Checkpoint, ClipyardError, type Job } from '@clipyard/contracts';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { parse } from 'yaml';
import { formatCount } from '../format.js';
import { server } from '../server/server.js';
import { Dialog } from '../ui/dialog.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { notify } from '../ui/notices.js';

interface ForkDialogProps {
  readonly job: Job;
  readonly checkpoint: Checkpoint | undefined;
  readonly onClose: () => void;
}

/** Submits a new job from a checkpoint. */
export default function ForkDialog({ job, checkpoint, onClose }: ForkDialogProps) {
  const [name, setName] = useState(`${job.name}-fork`.slice(0, 100));
  const [resume, setResume] = useState(true);
  const [changes, setChanges] = useState('');
  const [, navigate] = useLocation();
  const fork = useMutation({
    mutationFn: () => server.fork(job.id, { checkpoint: checkpoint!.id, resume, set: { ...changesOf(changes), name } }),
    onSuccess: (created) => {
      notify('good', `${created.name} is submitted`);
      onClose();
      navigate(`/runs/${created.id}`);
    },
  });
  return (
    <Dialog open={checkpoint !== undefined} onClose={onClose} title={`Fork ${job.name}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          fork.mutate();
        }}
      >
        <p className="muted">From the checkpoint of step {formatCount(checkpoint?.step ?? 0)}.</p>
        <label>
          Name
          <input type="text" value={name} onChange={({ target }) => setName(target.value)} />
        </label>
        <label className="check">
          <input type="checkbox" checked={resume} onChange={({ target }) => setResume(target.checked)} />
          Go on from there, with optimizer state and position in the data
        </label>
        <label>
          Changed fields, one a line
          <textarea
            rows={4}
            value={changes}
            placeholder="optimizer.lr: 1e-4"
            spellCheck={false}
            onChange={({ target }) => setChanges(target.value)}
          />
        </label>
        {fork.isError && <ErrorPanel error={fork.error} />}
        <button type="submit" className="button primary" disabled={fork.isPending}>
          Fork
        </button>
      </form>
    </Dialog>
  );
}

/** Throws `request_invalid` for what is not `path: value` lines. */
function changesOf(text: string): Record<string, unknown> {
  const value: unknown = parse(text) ?? {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ClipyardError('request_invalid', 'The changes are not lines of the form `path: value`.');
}
