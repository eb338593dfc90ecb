/** Specs to begin with, as people write them. */
export const EXAMPLES: readonly { readonly title: string; readonly yaml: string }[] = [
  {
    title: 'Drawn shapes: a small model in minutes, nothing to download',
    yaml: `version: 1
name: shapes
labels: { team: vision }
model: { preset: clip-tiny }
data:
  train: { type: shapes, split: seen }
  eval: { type: shapes, split: all, seed: 1 }
batch: { global: 128 }
duration: { steps: 600 }
optimizer: { lr: 1.5e-3, weightDecay: 0.1 }
schedule: { type: cosine, warmupSteps: 50 }
resources: { world: { min: 1, max: 2 } }
checkpoint: { everySteps: 200 }
evaluate:
  everySteps: 200
  tasks: [{ type: zeroshot }, { type: retrieval }]
`,
  },
  {
    title: 'Your pictures and captions, in tar shards',
    yaml: `version: 1
name: my-data
model: { preset: ViT-B-32, tokenizer: clip }
data:
  train: { type: webdataset, urls: ["data/train-{00000..00009}.tar"] }
  eval: { type: webdataset, urls: ["data/eval-00000.tar"] }
batch: { global: 1024, micro: 64 }
duration: { epochs: 10 }
optimizer: { lr: 5e-4 }
schedule: { type: cosine, warmupSteps: 500 }
resources: { world: { min: 1, max: 8 } }
checkpoint: { everySteps: 500 }
evaluate:
  everySteps: 500
  tasks: [{ type: retrieval }]
`,
  },
  {
    title: 'A table of files and captions',
    yaml: `version: 1
name: my-table
model: { preset: clip-tiny }
data:
  train: { type: csv, urls: [data/train.csv] }
batch: { global: 128 }
duration: { steps: 2000 }
`,
  },
];
