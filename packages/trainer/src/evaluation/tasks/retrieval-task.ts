import { contentHash, contentIds } from '../content-ids.js';
import { gatherRows } from '../gather-rows.js';
import { retrieval } from './retrieval.js';
import type { TaskContext, TaskOutcome } from './task.js';

export async function retrievalTask(context: TaskContext): Promise<TaskOutcome> {
  const { group, embedder, embedded, signal } = context;
  const { dimension } = embedder;
  const { images, captions, pictures } = embedded;
  const hashes = new Int32Array(captions.flatMap((caption) => [...contentHash(caption)]));
  const pairs = {
    dimension,
    images: await gatherRows(group, images, dimension, signal),
    texts: await gatherRows(group, await embedder.texts(captions, signal), dimension, signal),
    imageIds: await contentIds(group, pictures, signal),
    textIds: await contentIds(group, hashes, signal),
  };
  const distinct = (ids: Int32Array): number => ids.reduce((count, id) => Math.max(count, id + 1), 0);
  return {
    values: await retrieval(context, pairs, signal),
    details: { pairs: pairs.imageIds.length, pictures: distinct(pairs.imageIds), captions: distinct(pairs.textIds) },
  };
}
