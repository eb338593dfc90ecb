import {
  type PaperRecipe,
  paperRecipe,
  parameterCount,
  parameterSpecs,
  presetNames,
  resolveModelConfig,
} from '@clipyard/model';
import { stringify } from 'yaml';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatTable } from '../output/table.js';

function describePreset(name: string) {
  const config = resolveModelConfig({ preset: name });
  const parameters = parameterCount(parameterSpecs(config));
  return { name, parameters, imageSize: config.vision_cfg.image_size, dimension: config.embed_dim };
}

/** The named models. */
export function listPresets({ terminal }: Context, options: { readonly json?: boolean }): number {
  const items = presetNames().map((name) => ({ ...describePreset(name), recipe: paperRecipe(name) !== undefined }));
  if (options.json === true) terminal.out(JSON.stringify({ items }));
  else {
    const rows = items.map(({ name, parameters, imageSize, dimension, recipe }) => [
      name,
      `${(parameters / 1e6).toFixed(1)} M`,
      `${imageSize} x ${imageSize}`,
      String(dimension),
      recipe ? "the paper's" : '-',
    ]);
    for (const line of formatTable(['PRESET', 'PARAMETERS', 'PICTURE', 'EMBEDDING', 'RECIPE'], rows))
      terminal.out(line);
  }
  return EXIT.ok;
}

/** A preset's model config, and the beginning of a run spec with what the paper trained it with. */
export function showPreset({ terminal }: Context, name: string, options: { readonly json?: boolean }): number {
  const config = resolveModelConfig({ preset: name });
  const recipe = paperRecipe(name);
  if (options.json === true) {
    terminal.out(JSON.stringify({ ...describePreset(name), modelConfig: config, recipe: recipe ?? null }));
    return EXIT.ok;
  }
  const { parameters } = describePreset(name);
  terminal.out(`# ${name}: ${(parameters / 1e6).toFixed(1)} M parameters, as open_clip has it:`);
  for (const line of JSON.stringify(config, undefined, 2).split('\n')) terminal.out(`#   ${line}`);
  for (const line of specText(name, recipe)) terminal.out(line);
  return EXIT.ok;
}

function specText(name: string, recipe: PaperRecipe | undefined): string[] {
  const about =
    recipe === undefined
      ? ['# The paper has no recipe for it: other fields of the run spec have their defaults.']
      : [
          '# The paper trained it with this (arXiv 2103.00020, tables 18 to 20). Its learning rate belongs to its batch size.',
          ...(name.includes('-336') ? ['# It began with the weights of ViT-L-14: name them in model.init.'] : []),
        ];
  const spec = { version: 1, name: `${name.toLowerCase()}-paper`, ...(recipe ?? { model: { preset: name } }) };
  return [
    ...about,
    '# To start from it: write it to a file, add `data`, then `clipyard submit FILE`.',
    ...stringify(spec).trimEnd().split('\n'),
  ];
}
