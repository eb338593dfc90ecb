import { useState } from 'react';
import { Icon } from '../ui/icon.js';

export interface ChartLook {
  /** Weight of the past, 0 to 1. */
  readonly smoothing: number;
  readonly log: boolean;
  /** Part of the names of metrics that are shown. */
  readonly filter: string;
}

const KEY = 'clipyard.charts';
const PLAIN: ChartLook = { smoothing: 0, log: false, filter: '' };
const MOST_SMOOTHING = 0.99;

/** How charts look, kept for the next visit. */
export function useChartLook(): [ChartLook, (look: ChartLook) => void] {
  const [look, setLook] = useState<ChartLook>(() => {
    try {
      return { ...PLAIN, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as object), filter: '' };
    } catch {
      return PLAIN;
    }
  });
  const change = (next: ChartLook) => {
    setLook(next);
    try {
      localStorage.setItem(KEY, JSON.stringify({ ...next, filter: undefined }));
    } catch {}
  };
  return [look, change];
}

interface Controls {
  readonly look: ChartLook;
  readonly onChange: (look: ChartLook) => void;
  readonly zoomed: boolean;
  readonly onUnzoom: () => void;
}

export function ChartControls({ look, onChange, zoomed, onUnzoom }: Controls) {
  return (
    <div className="chart-controls">
      <label className="search">
        <span className="visually-hidden">Search metrics</span>
        <Icon name="search" />
        <input
          type="search"
          data-search
          placeholder="Search metrics"
          value={look.filter}
          onChange={(event) => onChange({ ...look, filter: event.target.value })}
        />
      </label>
      <label className="slider">
        Smoothing
        <input
          type="range"
          min="0"
          max={MOST_SMOOTHING}
          step="0.01"
          value={look.smoothing}
          onChange={(event) => onChange({ ...look, smoothing: event.target.valueAsNumber })}
        />
        <output>{look.smoothing.toFixed(2)}</output>
      </label>
      <label className="check">
        <input
          type="checkbox"
          checked={look.log}
          onChange={(event) => onChange({ ...look, log: event.target.checked })}
        />
        Log axis
      </label>
      {zoomed ? (
        <button type="button" className="button" onClick={onUnzoom}>
          All steps
        </button>
      ) : (
        <span className="muted hint">Drag to zoom, double-click for all</span>
      )}
    </div>
  );
}
