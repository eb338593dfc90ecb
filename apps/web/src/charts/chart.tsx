import 'uplot/dist/uPlot.min.css';
import { memo, useEffect, useLayoutEffect, useRef } from 'react';
import uPlot from 'uplot';
import { formatMetric } from '../format.js';
import { useColours } from '../theme.js';
import { chartData, type Line } from './chart-data.js';
import { chartOptions, type Look } from './chart-options.js';

/** Steps that are shown; null: all. */
export type Zoom = readonly [number, number] | null;

export interface ChartProps extends Look {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Weight of the past, 0 to 1. */
  readonly smoothing: number;
  readonly zoom: Zoom;
  readonly onZoom: (zoom: Zoom) => void;
}

const HEIGHT = 168;

/** Metrics over steps. Cursor and zoom are those of all charts with the same `syncKey`. */
export const Chart = memo(function Chart({ title, lines, smoothing, zoom, onZoom, log, syncKey }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLOutputElement>(null);
  const plot = useRef<uPlot>(undefined);
  const shown = useRef({ zoom, onZoom, lines, smoothing });
  shown.current = { zoom, onZoom, lines, smoothing };
  const colours = useColours();
  const identity = lines.map(({ key, name, colour }) => `${key} ${name} ${colour}`).join('|');

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours and identity stand for what is read inside
  useLayoutEffect(() => {
    const element = holder.current!;
    const { lines, smoothing } = shown.current;
    const options = chartOptions(
      lines,
      { log, syncKey },
      {
        zoomOf: () => shown.current.zoom,
        onZoom: (next) => shown.current.onZoom(next),
        onCursor: (index) => tellValue(readout.current, shown.current.lines, plot.current, index),
      },
    );
    const size = { width: Math.max(120, element.clientWidth), height: HEIGHT };
    const created = new uPlot({ ...options, ...size }, chartData(lines, smoothing, log), element);
    plot.current = created;
    const observer = new ResizeObserver(() =>
      created.setSize({ width: Math.max(120, element.clientWidth), height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = undefined;
    };
  }, [identity, log, syncKey, colours]);

  useEffect(() => {
    plot.current?.setData(chartData(lines, smoothing, log));
  }, [lines, smoothing, log]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the ranges of the chart read the zoom
  useEffect(() => {
    plot.current?.setData(plot.current.data);
  }, [zoom]);

  const single = lines.length === 1 ? lines[0] : undefined;
  const newest = single?.series.mean.at(-1);
  return (
    <figure className="chart">
      <figcaption>
        <span className="truncate" title={title}>
          {title}
        </span>
        {newest !== undefined && <output ref={readout}>{formatMetric(single!.name, newest)}</output>}
      </figcaption>
      <div ref={holder} />
    </figure>
  );
});

/** Of a single line: the value at the cursor, or the newest one. Others have a legend. */
function tellValue(
  output: HTMLOutputElement | null,
  lines: readonly Line[],
  plot: uPlot | undefined,
  index: number | null | undefined,
): void {
  const line = lines[0];
  if (output === null || line === undefined || plot === undefined) return;
  const newest = line.series.mean.at(-1);
  const value = index == null ? newest : plot.data[1]![index];
  if (value == null) return;
  const text = formatMetric(line.name, value);
  output.textContent = index == null ? text : `step ${plot.data[0][index]}: ${text}`;
}
