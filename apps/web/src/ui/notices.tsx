import { ClipyardError } from '@clipyard/contracts';
import { useSyncExternalStore } from 'react';
import { Icon } from './icon.js';

interface Notice {
  readonly id: number;
  readonly tone: 'good' | 'bad';
  readonly text: string;
}

/** Time that good news stays, ms; bad news stays until it is dismissed. */
const STAYS_MS = 5000;
const MOST = 4;

let notices: readonly Notice[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: readonly Notice[]): void {
  notices = next;
  for (const listener of listeners) listener();
}

const dismiss = (id: number): void => set(notices.filter((notice) => notice.id !== id));

/** Tells the outcome of an action. */
export function notify(tone: Notice['tone'], text: string): void {
  const id = nextId++;
  set([...notices.slice(1 - MOST), { id, tone, text }]);
  if (tone === 'good') setTimeout(dismiss, STAYS_MS, id);
}

export const notifyError = (error: unknown): void => {
  const { code, message } = ClipyardError.from(error);
  notify('bad', `${message} (${code})`);
};

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Notices() {
  const shown = useSyncExternalStore(subscribe, () => notices);
  return (
    <div className="notices" role="status" aria-live="polite">
      {shown.map(({ id, tone, text }) => (
        <p key={id} className={`notice tone-${tone}`}>
          {text}
          <button type="button" className="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
