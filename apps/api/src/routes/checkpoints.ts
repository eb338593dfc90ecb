import { Readable } from 'node:stream';
import { type BlobStore, fieldError } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseQuery } from '../request-input.js';

export interface CheckpointRouteDeps {
  readonly control: ControlPlane;
  /** Where the files lie; undefined: this API was not told. */
  readonly store: BlobStore | undefined;
}

/** Bytes of a file that are read at once. */
const PART_BYTES = 4 << 20;

const noQuery = z.object({});

/** Checkpoints and their files, which are sent as they lie in the store. */
export function checkpointRoutes(server: FastifyInstance, { control, store }: CheckpointRouteDeps): void {
  server.get<{ Params: { id: string } }>('/v1/checkpoints/:id', async (request) => {
    parseQuery(noQuery, request);
    return control.getCheckpoint(request.params.id);
  });

  server.get<{ Params: { id: string; name: string } }>(
    '/v1/checkpoints/:id/files/:name',
    { exposeHeadRoute: false },
    async (request, reply) => {
      parseQuery(noQuery, request);
      const { id, name } = request.params;
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
  );
}

async function* parts(store: BlobStore, key: string, bytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes; start += PART_BYTES)
    yield await store.read(key, { start, end: Math.min(bytes, start + PART_BYTES) });
}
