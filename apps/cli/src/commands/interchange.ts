import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fieldError } from '@clipyard/contracts';
import { type ModelConfig, parseModelConfig, presetNames, resolveModelConfig } from '@clipyard/model';
import {
  importedCheckpoint,
  type LoadedModel,
  loadModel,
  manifestFile,
  onnxExport,
  openClipExport,
  openWeights,
  type TrainLog,
} from '@clipyard/trainer';
import type { Context, ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { fetchCheckpoint } from '../interchange/fetch-checkpoint.js';
import { OutputFolder } from '../interchange/output-folder.js';
import { formatBytes } from '../output/format.js';

export interface ExportOptions extends ServerOptions {
  readonly out: string;
  readonly format: 'open_clip' | 'onnx';
  /** Samples at once of the .onnx files; default: any number. */
  readonly batch?: number;
  /** The moving average of the weights instead of the weights. */
  readonly average?: boolean;
}

export interface ImportOptions {
  readonly out: string;
  readonly model?: string;
  readonly json?: boolean;
}

/** Writes a model for others: as open_clip loads it, or as .onnx files of both towers. */
export async function exportModel(context: Context, source: string, options: ExportOptions): Promise<number> {
  const checkpoint = await fetchCheckpoint(context, source, options);
  try {
    const folder = await OutputFolder.create(options.out);
    const model = await load(context, checkpoint.path, { where: checkpoint.where, average: options.average === true });
    const batch = options.batch ?? 'open';
    const files = options.format === 'onnx' ? onnxExport(model, batch) : openClipExport(model);
    for (const file of files) await folder.write(file);
    tell(context, folder, options, [
      options.format === 'onnx'
        ? 'pictures: visual.onnx; captions: textual.onnx; README.md tells of inputs and outputs'
        : `open_clip.create_model_and_transforms("local-dir:${folder.path}")`,
      'captions: README.md tells the tokenizer',
    ]);
    return EXIT.ok;
  } finally {
    await checkpoint.remove();
  }
}

/** Writes open_clip's weights as a checkpoint of step 0, which runs start from and evaluations take. */
export async function importModel(context: Context, source: string, options: ImportOptions): Promise<number> {
  const config = options.model === undefined ? undefined : await configOf(options.model);
  const folder = await OutputFolder.create(options.out);
  const model = await load(context, source, { where: source, config });
  for (const file of importedCheckpoint(model)) await folder.write(file);
  await folder.write(manifestFile(folder.files));
  tell(context, folder, options, ['in a run spec, copied below the data directory: model.init: file:<path>']);
  return EXIT.ok;
}

async function load(
  { terminal }: Context,
  path: string,
  { where, config, average = false }: { where: string; config?: ModelConfig | undefined; average?: boolean },
): Promise<LoadedModel> {
  const log: TrainLog = (level, message) => terminal.err(`${level === 'warn' ? 'warning: ' : ''}${message}`);
  const source = await openWeights(path, 'source', { average });
  try {
    return await loadModel({ ...source, where }, { field: 'source', log, ...(config === undefined ? {} : { config }) });
  } finally {
    await source.close();
  }
}

function tell(
  { terminal }: Context,
  folder: OutputFolder,
  { json }: { readonly json?: boolean },
  hints: readonly string[],
): void {
  const { path, files } = folder;
  if (json === true) return terminal.out(JSON.stringify({ path, files }));
  const bytes = files.reduce((total, file) => total + file.bytes, 0);
  terminal.out(`${path}: ${files.map(({ name }) => name).join(', ')}; ${formatBytes(bytes)}`);
  for (const hint of hints) terminal.out(`  ${hint}`);
}

/** The name of a preset, or a JSON file with a model_cfg, bare or as in open_clip_config.json. */
async function configOf(name: string): Promise<ModelConfig> {
  if (presetNames().includes(name)) return resolveModelConfig({ preset: name });
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(resolve(name), 'utf8'));
  } catch (cause) {
    throw fieldError('model_config_invalid', {
      path: '--model',
      message: `is neither a preset nor a JSON file: ${(cause as Error).message}`,
      value: name,
      remedy: `Give a file with a model_cfg, or one of: ${presetNames().join(', ')}.`,
    });
  }
  const whole = parsed as { model_cfg?: unknown };
  return parseModelConfig(whole.model_cfg ?? parsed, '--model');
}
