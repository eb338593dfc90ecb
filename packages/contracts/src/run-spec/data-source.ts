import { z } from 'zod';
import { count, positive } from './numbers.js';

const url = z.string().min(1).max(2048);

const badSamples = z
  .number()
  .min(0)
  .max(1)
  .default(0.01)
  .describe('Largest share of samples that may be unusable (undecodable picture, empty caption) before the run fails');

const classes = z
  .array(z.string().min(1).max(500))
  .min(2)
  .max(100_000)
  .optional()
  .describe('Names of the classes, in the order of the numbers that labels have; labels may also be such names');

const shapesData = z.strictObject({
  type: z.literal('shapes').describe('Drawn pictures of coloured shapes with captions made from templates'),
  samples: positive.max(100_000_000).default(100_000).describe('Number of distinct samples'),
  seed: count.default(0).describe('Seed of the pictures and captions; train and eval data want different ones'),
  split: z
    .enum(['seen', 'unseen', 'all'])
    .default('seen')
    .describe('Which colour-shape pairs to draw: those shown in training, those held out, or all'),
});

const webdatasetData = z.strictObject({
  type: z
    .literal('webdataset')
    .describe('Tar shards in which files of one sample share a name and differ in extension'),
  urls: z
    .array(url)
    .min(1)
    .max(10_000)
    .describe('Shards, braces expanded: `emoji/{00000..00009}.tar`; relative to the data directory'),
  imageKeys: z
    .array(z.string())
    .default(['png', 'jpg', 'jpeg', 'webp', 'gif', 'avif', 'tiff'])
    .describe('Extensions that hold the picture'),
  captionKeys: z
    .array(z.string())
    .default(['txt', 'json'])
    .describe('Extensions that hold the caption, in order of preference'),
  captionField: z.string().default('caption').describe('The field of a .json file that holds the caption'),
  labelKeys: z
    .array(z.string())
    .default(['cls'])
    .describe(
      'Extensions that hold the class, a whole number from 0 on or a name of `classes`; read by evaluations only',
    ),
  classes,
  maxBadFraction: badSamples,
});

const csvData = z.strictObject({
  type: z.literal('csv').describe('A table of picture paths and captions, as open_clip reads it'),
  urls: z.array(url).min(1).max(10_000).describe('CSV or TSV files; relative to the data directory'),
  separator: z.string().length(1).default('\t').describe('Column separator'),
  imageColumn: z.string().default('filepath').describe('Column with the path of the picture, relative to the table'),
  captionColumn: z.string().default('title').describe('Column with the caption'),
  labelColumn: z
    .string()
    .optional()
    .describe('Column with the class, a whole number from 0 on or a name; default: samples have no class'),
  classes: classes.describe(
    'Names of the classes, in the order of the numbers that labels have; default: the different names in the tables, sorted',
  ),
  maxBadFraction: badSamples,
});

const syntheticData = z.strictObject({
  type: z.literal('synthetic').describe('Random pictures and captions, for measuring speed and memory'),
  samples: positive.max(1_000_000_000).default(1_000_000).describe('Number of distinct samples'),
  seed: count.default(0).describe('Seed of the samples'),
});

export const dataSourceSchema = z.discriminatedUnion('type', [shapesData, webdatasetData, csvData, syntheticData]);
export type DataSource = z.infer<typeof dataSourceSchema>;
