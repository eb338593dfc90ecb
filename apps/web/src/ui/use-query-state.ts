import { useCallback } from 'react';
import { useLocation, useSearch } from 'wouter';

/** Parameters of the page's address, so that a link shows what one sees. An empty value removes one. */
export function useQueryState(): [URLSearchParams, (changes: Readonly<Record<string, string>>) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const change = useCallback(
    (changes: Readonly<Record<string, string>>) => {
      const next = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === '') next.delete(name);
        else next.set(name, value);
      }
      const text = next.toString();
      navigate(text === '' ? path : `${path}?${text}`, { replace: true });
    },
    [navigate, path],
  );
  return [new URLSearchParams(search), change];
}
