import { Dialog } from '../ui/dialog.js';
import { GO_TO } from './use-shortcuts.js';

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'Search'],
  ['j', 'Next row'],
  ['k', 'Row before'],
  ['Enter', 'Open the row'],
  ['x', 'Mark the row for a comparison'],
  ...Object.entries(GO_TO).map(([key, { title }]) => [`g ${key}`, `Go to: ${title}`] as const),
  ['?', 'This help'],
  ['Esc', 'Close, or leave a field'],
];

export function KeyboardHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Keyboard">
      <dl className="keys">
        {KEYS.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
