/** Metrics that are drawn together: a chart each for those that have no family. */
export interface MetricGroup {
  readonly title: string;
  readonly charts: readonly { readonly title: string; readonly names: readonly string[] }[];
}

const TRAINING = ['loss', 'batch/accuracy', 'logit_scale', 'logit_bias', 'lr', 'grad_norm'];
const TITLES: Readonly<Record<string, string>> = {
  training: 'Training',
  loss: 'Training',
  batch: 'Training',
  data: 'Data',
  health: 'Contrastive health',
  eval: 'Evaluation',
  speed: 'Speed',
  time: 'Speed',
  rank: 'Ranks',
  system: 'Ranks',
};
const ORDER = ['Training', 'Evaluation', 'Contrastive health', 'Speed', 'Ranks', 'Data'];

/** Groups metric names by family, in the order in which people ask for them. */
export function groupMetrics(names: readonly string[]): MetricGroup[] {
  const groups = new Map<string, Map<string, string[]>>();
  for (const name of [...names].sort(byImportance)) {
    const title = groupOf(name);
    const chart = chartOf(name);
    let charts = groups.get(title);
    if (charts === undefined) groups.set(title, (charts = new Map()));
    charts.set(chart, [...(charts.get(chart) ?? []), name]);
  }
  return [...groups]
    .sort(([a], [b]) => rankOf(a) - rankOf(b) || a.localeCompare(b))
    .map(([title, charts]) => ({
      title,
      charts: [...charts].map(([chart, members]) => ({ title: chart, names: members })),
    }));
}

function groupOf(name: string): string {
  const family = name.includes('/') ? name.slice(0, name.indexOf('/')) : 'training';
  return TITLES[family] ?? family;
}

/** Which chart a metric is drawn in: both directions of retrieval share one, as do the phases of a step and all ranks. */
function chartOf(name: string): string {
  if (/^time\/(?!step_ms)/.test(name)) return 'time by phase, ms';
  const rank = /^rank\/\d+\/(.+)$/.exec(name);
  if (rank !== null) return `${rank[1]} by rank`;
  if (/^eval\/[^/]+\/(seen|unseen)$/.test(name)) return name.replace(/[^/]+$/, 'seen, unseen');
  const towers = /^health\/(?:image|text|image_to_text|text_to_image)\/(.+)$/.exec(name);
  if (towers !== null) return `health/…/${towers[1]}`;
  const retrieval = /^(eval\/.+)\/(image_to_text|text_to_image)\/(.+)$/.exec(name);
  if (retrieval !== null) return `${retrieval[1]}/…/${retrieval[3]}`;
  return name;
}

const rankOf = (title: string): number => (ORDER.includes(title) ? ORDER.indexOf(title) : ORDER.length);

function byImportance(a: string, b: string): number {
  const [i, j] = [TRAINING.indexOf(a), TRAINING.indexOf(b)];
  if (i !== -1 || j !== -1) return (i === -1 ? TRAINING.length : i) - (j === -1 ? TRAINING.length : j);
  return a.localeCompare(b, 'en', { numeric: true });
}
