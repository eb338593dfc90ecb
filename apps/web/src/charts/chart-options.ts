import type uPlot from 'uplot';
import { formatMetric, formatValue } from '../format.js';
import { COLUMNS_OF_A_LINE, type Line } from './chart-data.js';

export interface Look {
  readonly log: boolean;
  readonly syncKey: string;
}

interface Handlers {
  zoomOf(): readonly [number, number] | null;
  onZoom(zoom: readonly [number, number] | null): void;
  /** `index`: of the entry at the cursor; null: the cursor is elsewhere. */
  onCursor(index: number | null | undefined): void;
}

export const COLOURS = 8;
/** Shortest drag that is a zoom, px. */
const LEAST_DRAG = 6;
const FONT = '11px system-ui, sans-serif';

const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const lineColour = (colour: number): string => token(`--chart-${colour % COLOURS}`);

const withAlpha = (hex: string, alpha: number): string =>
  `${hex}${Math.round(255 * alpha)
    .toString(16)
    .padStart(2, '0')}`;

export function chartOptions(
  lines: readonly Line[],
  { log, syncKey }: Look,
  on: Handlers,
): Omit<uPlot.Options, 'width' | 'height'> {
  const grid = { stroke: token('--line'), width: 1 };
  const axis = { stroke: token('--text-3'), font: FONT, grid, ticks: { show: false } };
  const isBucketed = lines.map(({ series }) => series.min.some((value, i) => value !== series.max[i]));
  return {
    padding: [8, 10, 0, 0],
    legend: { show: lines.length > 1, live: true },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      sync: { key: syncKey, scales: ['x', null], setSeries: false },
      points: { size: 6 },
      y: false,
      bind: {
        dblclick: () => () => {
          on.onZoom(null);
          return null;
        },
      },
    },
    scales: {
      x: {
        time: false,
        range: (_, low, high) => [...(on.zoomOf() ?? (low === high ? [low - 1, high + 1] : [low, high]))],
      },
      y: { distr: log ? 3 : 1, range: log ? undefined : paddedRange },
    } as uPlot.Scales,
    axes: [
      { ...axis, size: 26, values: (_, splits) => splits.map(shortNumber) },
      { ...axis, size: 50, values: (_, splits) => splits.map((value) => (value === null ? '' : formatValue(value))) },
    ],
    series: [
      { label: 'step', value: (_, step) => (step === null ? '' : String(step)) },
      ...lines.flatMap((line): uPlot.Series[] => {
        const stroke = lineColour(line.colour);
        return [
          {
            label: line.label,
            stroke,
            width: 1.6,
            spanGaps: true,
            points: { show: line.series.step.length < 2 || line.name.startsWith('eval/') },
            value: (_, value) => (value == null ? '' : formatMetric(line.name, value)),
          },
          hidden({ stroke: withAlpha(stroke, 0.28), width: 1 }),
          hidden({ width: 0 }),
          hidden({ width: 0 }),
        ];
      }),
    ],
    bands: lines.flatMap((line, i) =>
      isBucketed[i]
        ? [
            {
              series: [COLUMNS_OF_A_LINE * i + 4, COLUMNS_OF_A_LINE * i + 3] as uPlot.Band.Bounds,
              fill: withAlpha(lineColour(line.colour), 0.14),
            },
          ]
        : [],
    ),
    hooks: {
      setCursor: [(plot) => on.onCursor(plot.cursor.left! < 0 ? null : plot.cursor.idx)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < LEAST_DRAG) return;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          on.onZoom([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
        },
      ],
    },
  };
}

/** A line that has no entry in the legend and no point at the cursor. */
const hidden = (look: uPlot.Series): uPlot.Series => ({
  ...look,
  class: 'hidden-line',
  spanGaps: true,
  points: { show: false },
});

/** A little room above and below; the middle of a constant. */
function paddedRange(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function shortNumber(value: number | null): string {
  if (value === null) return '';
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(value);
}
