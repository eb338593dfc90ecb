import { useMemo, useState } from 'react';
import { Chart, type Zoom } from '../charts/chart.js';
import { ChartControls, useChartLook } from '../charts/chart-controls.js';
import type { Line } from '../charts/chart-data.js';
import { groupMetrics } from '../charts/metric-groups.js';
import type { Series } from '../charts/series.js';
import { Empty } from '../ui/empty.js';
import { useZoomed } from './use-zoomed.js';

/** One run, or several in the same charts. */
export interface ChartedRun {
  readonly id: string;
  readonly label: string;
  readonly series: ReadonlyMap<string, Series>;
}

export function Charts({ runs: whole, pending }: { runs: readonly ChartedRun[]; pending: boolean }) {
  const [look, setLook] = useChartLook();
  const [zoom, setZoom] = useState<Zoom>(null);
  const runs = useZoomed(whole, zoom);
  const names = [...new Set(runs.flatMap(({ series }) => [...series.keys()]))].sort();
  const key = names.join('|');
  // biome-ignore lint/correctness/useExhaustiveDependencies: key stands for names
  const groups = useMemo(() => groupMetrics(names), [key]);
  if (names.length === 0) {
    return pending ? (
      <p className="loading">Loading …</p>
    ) : (
      <Empty title="No metrics yet">
        <p>They appear here as soon as the ranks have finished their first steps.</p>
      </Empty>
    );
  }
  const wanted = look.filter.toLowerCase();
  return (
    <>
      <ChartControls look={look} onChange={setLook} zoomed={zoom !== null} onUnzoom={() => setZoom(null)} />
      {groups.map((group) => {
        const charts = group.charts.filter(
          (chart) => wanted === '' || chart.names.some((name) => name.toLowerCase().includes(wanted)),
        );
        if (charts.length === 0) return null;
        return (
          <details key={group.title} className="chart-group" open>
            <summary>
              {group.title} <span className="muted">{charts.length}</span>
            </summary>
            <div className="chart-grid">
              {charts.map((chart) => (
                <RunsChart
                  key={chart.title}
                  title={chart.title}
                  names={chart.names}
                  runs={runs}
                  look={look}
                  zoom={zoom}
                  onZoom={setZoom}
                />
              ))}
            </div>
          </details>
        );
      })}
    </>
  );
}

interface RunsChartProps {
  readonly title: string;
  readonly names: readonly string[];
  readonly runs: readonly ChartedRun[];
  readonly look: { readonly smoothing: number; readonly log: boolean };
  readonly zoom: Zoom;
  readonly onZoom: (zoom: Zoom) => void;
}

function RunsChart({ title, names, runs, look, zoom, onZoom }: RunsChartProps) {
  const lines = runs.flatMap(({ id, label, series }, run) =>
    names.flatMap((name, i): Line[] => {
      const values = series.get(name);
      if (values === undefined) return [];
      const ofMetric = distinguishing(names, name);
      const text = runs.length === 1 ? ofMetric : names.length === 1 ? label : `${label} ${ofMetric}`;
      return [{ key: id, name, label: text, colour: runs.length === 1 ? i : run, series: values }];
    }),
  );
  const stable = useStable(lines);
  return (
    <Chart
      title={title}
      lines={stable}
      smoothing={names[0]!.startsWith('eval/') ? 0 : look.smoothing}
      log={look.log}
      zoom={zoom}
      onZoom={onZoom}
      syncKey="run"
    />
  );
}

/** The same list as before while its series are the same, so that a chart is drawn anew only when it has changed. */
function useStable(lines: readonly Line[]): readonly Line[] {
  // biome-ignore lint/correctness/useExhaustiveDependencies: a line changes with its series and label
  return useMemo(() => lines, [lines.length, ...lines.flatMap(({ series, label }) => [series, label])]);
}

/** What tells a metric from the others in its chart. */
function distinguishing(names: readonly string[], name: string): string {
  if (names.length === 1) return name;
  const parts = name.split('/');
  const differing = parts.filter((part, i) => names.some((other) => other.split('/')[i] !== part));
  return differing.join('/') || name;
}
