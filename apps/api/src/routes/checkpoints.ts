import { Readable } from 'node:stream';
import { type BlobStore, fieldError, OPERATIONS } from '@clipyard/contracts';
import type { FastifyInstance } from 'fastify';
import { serve } from '../serve.js';

export interface CheckpointRouteDeps {
  /** Where the files lie; undefined: this API was not told. */
  readonly store: BlobStore | undefined;
}

/** Bytes of a file that are read at once. */
const PART_BYTES = 4 << 20;

/** Checkpoints and their files, which are sent as they lie in the store. */
export function checkpointRoutes(server: FastifyInstance, { store }: CheckpointRouteDeps): void {
  serve(server, OPERATIONS.getCheckpoint, ({ control, params }) => control.getCheckpoint(params.id));

  serve(
    server,
    OPERATIONS.getCheckpointFile,
    async ({ control, params: { id, name }, reply }) => {
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
      reply.header('content-length', bytes).header('etag', `"${sha256}"`).type('application/octet-stream');
      return reply.send(Readable.from(parts(store, key, bytes), { objectMode: false }));
    },
    { exposeHeadRoute: false },
  );
}

async function* parts(store: BlobStore, key: string, bytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes; start += PART_BYTES)
    yield await store.read(key, { start, end: Math.min(bytes, start + PART_BYTES) });
}
