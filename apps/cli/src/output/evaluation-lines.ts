import type { Evaluation } from '@clipyard/contracts';
import { z } from 'zod';
import { formatNumber, formatPercent } from './format.js';
import { formatTable } from './table.js';

/** Figures that are no shares. */
const PLAIN = /rank$|^strength$/;
/** Means over corruptions by their type, which have a table of their own. */
const BY_TYPE = /^corrupted\/(?!(?:image_to_text|text_to_image)\/).+\//;

const detailsSchema = z.object({
  corrupted: z.array(z.object({ type: z.string(), severity: z.int(), values: z.record(z.string(), z.number()) })),
});
type Corrupted = z.infer<typeof detailsSchema>['corrupted'];

/** What an evaluation found, a line a figure, then tables of the figures of corrupted pictures. */
export function evaluationLines({ step, values, results }: Evaluation): string[] {
  const rows =
    results.length > 0
      ? results.flatMap(({ task, values: found }) =>
          Object.entries(found).flatMap(([name, value]) => (BY_TYPE.test(name) ? [] : [row(task, name, value)])),
        )
      : Object.entries(values).map(([name, value]) => row('', name, value));
  return [
    // Of files nobody may know.
    `evaluation of the weights${step === 0 ? '' : ` after step ${step}`}:`,
    ...formatTable(['TASK', 'FIGURE', 'VALUE'], rows),
    ...results.flatMap(({ task, details }) => {
      const parsed = detailsSchema.safeParse(details);
      return parsed.success ? corruptedLines(task, parsed.data.corrupted) : [];
    }),
  ];
}

function row(task: string, name: string, value: number): string[] {
  return [task, name, PLAIN.test(name) ? formatNumber(value) : formatPercent(value)];
}

/** For each figure a table of types by severities. */
function corruptedLines(task: string, corrupted: Corrupted): string[] {
  const distinct = <T>(of: (one: Corrupted[number]) => T): T[] => [...new Set(corrupted.map(of))];
  const severities = distinct(({ severity }) => severity);
  return Object.keys(corrupted[0]?.values ?? {}).flatMap((figure) => {
    const rows = distinct(({ type }) => type).map((type) => {
      const found = corrupted.filter((one) => one.type === type).map(({ values }) => values[figure]!);
      const mean = found.reduce((sum, value) => sum + value, 0) / found.length;
      return [type, ...found.map(formatPercent), formatPercent(mean)];
    });
    const heading = ['CORRUPTION', ...severities.map((severity) => `SEVERITY ${severity}`), 'MEAN'];
    return ['', `${task}, ${figure} of corrupted pictures:`, ...formatTable(heading, rows)];
  });
}
