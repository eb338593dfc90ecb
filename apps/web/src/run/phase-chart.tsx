import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { lineColour } from '../charts/chart-options.js';
import { useColours } from '../theme.js';

const HEIGHT = 240;

/** Phases of a step as areas, one upon the other, ms over steps. */
export function PhaseChart({ steps, layers, names }: { steps: number[]; layers: number[][]; names: string[] }) {
  const holder = useRef<HTMLDivElement>(null);
  const colours = useColours();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours on screen are read inside
  useEffect(() => {
    const element = holder.current!;
    const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = {
      stroke: token('--text-3'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: token('--line'), width: 1 },
      ticks: { show: false },
    };
    const order = layers.map((_, i) => layers.length - 1 - i);
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        padding: [8, 10, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: (_, __, high) => [0, high] } },
        axes: [
          { ...axis, size: 26 },
          { ...axis, size: 66, values: (_, splits) => splits.map((value) => `${value} ms`) },
        ],
        series: [
          {},
          ...order.map((i) => ({
            label: names[i]!,
            stroke: lineColour(i),
            fill: lineColour(i),
            width: 0,
            points: { show: false },
          })),
        ],
      },
      [steps, ...order.map((i) => layers[i]!)],
      element,
    );
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [steps, layers, names, colours]);
  return <div ref={holder} aria-hidden="true" />;
}
