import { singleSpaced } from '@clipyard/data';
import { contentHash, contentIds } from '../content-ids.js';
import { gatherRows } from '../gather-rows.js';
import { retrieval } from './retrieval.js';
import { only, type TaskContext, type TaskOutcome, type Values } from './task.js';

export async function retrievalTask(context: TaskContext): Promise<TaskOutcome> {
  const { group, embedder, embedded, signal } = context;
  const { dimension } = embedder;
  const { images, captions, pictures } = embedded;
  const hashes = new Int32Array(captions.flatMap((caption) => [...contentHash(singleSpaced(caption))]));
  const texts = await gatherRows(group, await embedder.texts(captions, signal), dimension, signal);
  const imageIds = await contentIds(group, pictures, signal);
  const textIds = await contentIds(group, hashes, signal);
  const retrieve = async (embeddings: Float32Array): Promise<Values> => {
    const gathered = await gatherRows(group, embeddings, dimension, signal);
    return await retrieval(context, { dimension, images: gathered, texts, imageIds, textIds }, signal);
  };
  const distinct = (ids: Int32Array): number => ids.reduce((count, id) => Math.max(count, id + 1), 0);
  return {
    values: await retrieve(images),
    details: { pairs: imageIds.length, pictures: distinct(imageIds), captions: distinct(textIds) },
    judge: async (embeddings) => only(await retrieve(embeddings), ['image_to_text/r1', 'text_to_image/r1']),
  };
}
