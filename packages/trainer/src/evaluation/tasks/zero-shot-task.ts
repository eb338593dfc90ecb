import { ClassificationTally } from '../classification-tally.js';
import { forEachSimilarity } from '../similarity.js';
import { only, type TaskContext, type TaskOutcome } from './task.js';
import type { TaskClasses } from './task-classes.js';
import { buildZeroShot } from './zero-shot.js';

/** Accuracies over the samples that have a class of the task; none where there are none. */
export async function zeroShotTask(context: TaskContext, classes: TaskClasses): Promise<TaskOutcome> {
  const { engine, group, embedder, embedded, signal } = context;
  const classifier = await buildZeroShot(embedder, group, classes.names, classes.templates, signal);
  const targets = Array.from(embedded.labels, (label) => (label < 0 ? undefined : classes.indexOf(label)));
  const classify = async (images: Float32Array): Promise<ClassificationTally> => {
    const tally = new ClassificationTally(classes.names.length);
    await forEachSimilarity(
      engine,
      { queries: images, candidates: classifier.weights, dimension: embedder.dimension },
      (i, similarities) => {
        const target = targets[i];
        if (target !== undefined) tally.add(similarities, target, classes.ofDataset ? embedded.groups[i] : undefined);
      },
    );
    await tally.reduce(group, signal);
    return tally;
  };
  const tally = await classify(embedded.images);
  return {
    values: tally.values(),
    details: { samples: tally.count, templates: classes.templates.length, classes: tally.named(classes.names) },
    classifier,
    judge: async (images) => only((await classify(images)).values(), ['top1']),
  };
}
