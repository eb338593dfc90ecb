import { Readable } from 'node:stream';
import { type BlobStore, fieldError, OPERATIONS } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { type ByteRange, requestedBytes } from '../byte-range.js';
import { serve } from '../serve.js';

export interface CheckpointRouteDeps {
  /** Where the files lie; undefined: this API was not told. */
  readonly store: BlobStore | undefined;
}

/** Bytes of a file that are read at once. */
const PART_BYTES = 4 << 20;

/** Checkpoints and their files, which are sent as they lie in the store, whole or in part. */
export function checkpointRoutes(server: FastifyInstance, { store }: CheckpointRouteDeps): void {
  serve(server, OPERATIONS.getCheckpoint, ({ control, params }) => control.getCheckpoint(params.id));

  serve(
    server,
    OPERATIONS.getCheckpointFile,
    async ({ control, params: { id, name }, request, reply }) => {
      const { key, bytes, sha256 } = await control.checkpointFile(id, name);
      if (store === undefined) {
        throw fieldError('config_invalid', {
          path: 'STORAGE_URL',
          message: 'is not set where this API runs, so it cannot read checkpoints',
          remedy: 'Set it to the store of the workers.',
        });
      }
      // Before the status is sent: retention may have removed it a moment ago.
      await store.stat(key);
      const tag = `"${sha256}"`;
      reply.header('etag', tag).type('application/octet-stream');
      const range = requestedBytes(request, reply, { bytes, tag });
      // An answer to HEAD is read to its end by the framework.
      const content = request.method === 'HEAD' ? [] : parts(store, key, range);
      return reply.send(Readable.from(content, { objectMode: false }));
    },
    // Weights do not become smaller.
    { compress: false },
  );
}

async function* parts(store: BlobStore, key: string, range: ByteRange): AsyncGenerator<Uint8Array> {
  for (let start = range.start; start < range.end; start += PART_BYTES)
    yield await store.read(key, { start, end: Math.min(range.end, start + PART_BYTES) });
}
