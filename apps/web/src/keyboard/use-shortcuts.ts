import { useEffect, useRef } from 'react';
import { useLocation } from 'wouter';

/** Second keys after `g`, by the page that they open. */
export const GO_TO: Readonly<Record<string, { path: string; title: string }>> = {
  r: { path: '/runs', title: 'Runs' },
  w: { path: '/sweeps', title: 'Sweeps' },
  q: { path: '/queue', title: 'Queue' },
  n: { path: '/nodes', title: 'Nodes' },
  s: { path: '/submit', title: 'Submit' },
};

/** Time to press the second key, ms. */
const SEQUENCE_MS = 1200;

/** Keys of the whole page. Rows are links with `data-row`; what `/` goes to has `data-search`. */
export function useShortcuts({ onHelp }: { onHelp: () => void }): void {
  const [, navigate] = useLocation();
  const prefixAt = useRef(Number.NEGATIVE_INFINITY);
  const help = useRef(onHelp);
  help.current = onHelp;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
      if (isTyping(event.target)) {
        if (event.key === 'Escape') (event.target as HTMLElement).blur();
        return;
      }
      if (document.querySelector('dialog[open]') !== null) return;
      const page = performance.now() - prefixAt.current < SEQUENCE_MS ? GO_TO[event.key] : undefined;
      prefixAt.current = event.key === 'g' ? performance.now() : Number.NEGATIVE_INFINITY;
      if (page !== undefined) navigate(page.path);
      else if (event.key === '?') help.current();
      else if (event.key === '/') focusSearch();
      else if (event.key === 'j') moveRow(1);
      else if (event.key === 'k') moveRow(-1);
      else if (event.key === 'x') toggleRow();
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [navigate]);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'button', 'range'].includes(target.type);
  return target.isContentEditable || target.tagName === 'TEXTAREA' || target.tagName === 'SELECT';
}

function focusSearch(): void {
  const field = document.querySelector<HTMLInputElement>('[data-search]');
  field?.focus();
  field?.select();
}

function moveRow(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row]')];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at === -1 ? (by === 1 ? 0 : rows.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

/** Marks the row that has the focus. */
function toggleRow(): void {
  document.activeElement?.closest('tr')?.querySelector<HTMLInputElement>('input[type=checkbox]')?.click();
}
