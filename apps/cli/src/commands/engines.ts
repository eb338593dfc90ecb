import { buildTensorFlow, listEngines } from '@clipyard/engine';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatTable } from '../output/table.js';

/** Tries each compute engine on this machine and shows what came of it. */
export async function showEngines(context: Context, options: { readonly json?: boolean }): Promise<number> {
  const { terminal, signal } = context;
  const items = await listEngines({ enginesDir: context.config.enginesDir, signal });
  if (options.json === true) terminal.out(JSON.stringify({ items }));
  else {
    const rows = items.map(({ name, usable, version, device, note }) => [
      name,
      usable ? 'usable' : 'not usable',
      version ?? '-',
      device ?? '-',
      note,
    ]);
    for (const line of formatTable(['ENGINE', 'STATE', 'VERSION', 'DEVICE', 'NOTE'], rows)) terminal.out(line);
  }
  return EXIT.ok;
}

/** Builds the tensorflow engine into the home. */
export async function buildEngine(
  context: Context,
  options: { readonly from?: string; readonly gpu?: boolean; readonly json?: boolean },
): Promise<number> {
  const { config, terminal, signal } = context;
  const { version, gpu, folder } = await buildTensorFlow({
    enginesDir: config.enginesDir,
    signal,
    gpu: options.gpu === true,
    progress: (text) => terminal.err(text),
    ...(config.packageIndexUrl === undefined ? {} : { indexUrl: config.packageIndexUrl }),
    ...(options.from === undefined ? {} : { from: options.from }),
  });
  if (options.json === true) terminal.out(JSON.stringify({ version, gpu, folder }));
  else {
    terminal.out(`TensorFlow ${version} is ready, for ${gpu ? 'GPUs' : 'the CPU'}: ${folder}`);
    const use = 'resources.engine: tensorflow';
    terminal.out(
      gpu ? 'Jobs use it from now on where they find a GPU.' : `No GPU was found, so only jobs with ${use} use it.`,
    );
  }
  return EXIT.ok;
}
