import { useState } from 'react';
import { Icon } from './icon.js';
import { notify } from './notices.js';

/** Time that success is shown, ms. */
const DONE_MS = 1500;

export function CopyButton({ text, label, children }: { text: string; label: string; children?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      // Browsers have it on https and loopback only.
      if (navigator.clipboard === undefined) throw new Error('The browser lets pages copy over https only');
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(setDone, DONE_MS, false);
    } catch (error) {
      notify('bad', `Not copied. ${(error as Error).message}.`);
    }
  };
  return (
    <button type="button" className={children === undefined ? 'quiet' : 'button'} aria-label={label} onClick={copy}>
      <Icon name={done ? 'check' : 'copy'} />
      {children}
    </button>
  );
}
