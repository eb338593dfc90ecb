import { parseRunSpec } from '@clipyard/contracts';
import { configForLoss, resolveModelConfig, runParameters } from '@clipyard/model';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatTable } from '../output/table.js';
import { applySettings, readSpecFile } from '../spec-file.js';

/** Shows every parameter of a run's model and how it is trained. */
export async function showParameters(
  { terminal }: Context,
  file: string,
  options: { readonly set: readonly string[]; readonly json?: boolean },
): Promise<number> {
  const spec = parseRunSpec(applySettings(await readSpecFile(file), options.set));
  const items = runParameters(spec, configForLoss(resolveModelConfig(spec.model), spec.loss)).map(
    ({ name, shape, decay, lrScale = 1, frozen = false }) => ({
      name,
      shape,
      trained: !frozen,
      weightDecay: frozen || !decay ? 0 : spec.optimizer.weightDecay,
      lrScale: frozen ? 0 : lrScale,
    }),
  );
  if (options.json === true) {
    terminal.out(JSON.stringify({ items }));
    return EXIT.ok;
  }
  const rows = items.map(({ name, shape, trained, weightDecay, lrScale }) => [
    name,
    `[${shape.join(', ')}]`,
    trained ? 'yes' : 'no',
    String(weightDecay),
    lrScale.toPrecision(3),
  ]);
  for (const line of formatTable(['PARAMETER', 'SHAPE', 'TRAINED', 'WEIGHT DECAY', 'RATE x'], rows)) terminal.out(line);
  const elements = (some: typeof items): string =>
    some
      .reduce((total, { shape }) => total + shape.reduce((product, extent) => product * extent, 1), 0)
      .toLocaleString('en');
  const trained = items.filter((item) => item.trained);
  const decayed = trained.filter(({ weightDecay }) => weightDecay > 0);
  terminal.out(`${elements(items)} parameters, ${elements(trained)} trained, ${elements(decayed)} with weight decay`);
  return EXIT.ok;
}
