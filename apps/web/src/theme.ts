import { useSyncExternalStore } from 'react';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
const KEY = 'clipyard.theme';

const listeners = new Set<() => void>();
/** Storage may be forbidden; then the choice lasts as long as the page. */
let chosen: Theme = 'system';

const systemIsDark = (): boolean => matchMedia('(prefers-color-scheme: dark)').matches;

function apply(): void {
  document.documentElement.dataset.theme = chosen === 'system' ? (systemIsDark() ? 'dark' : 'light') : chosen;
  for (const listener of listeners) listener();
}

/** Shows the colours that were chosen before, or else those of the system, also when they change. */
export function startTheme(): void {
  try {
    chosen = THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system';
  } catch {}
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply);
  apply();
}

export function chooseTheme(theme: Theme): void {
  chosen = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {}
  apply();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, () => chosen);

/** Changes when the colours on screen do. */
export const useColours = (): string =>
  useSyncExternalStore(subscribe, () => document.documentElement.dataset.theme ?? 'light');
