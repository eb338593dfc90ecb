import { dirname } from 'node:path/posix';
import { fieldError, OPERATIONS } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import type { InspectorHost } from '../inspector/inspector-host.js';
import type { InspectorCall, InspectorCalls } from '../inspector/inspector-messages.js';
import { serve } from '../serve.js';

export interface InspectionRouteDeps {
  /** Undefined: this API was not told where checkpoints lie. */
  readonly inspector: InspectorHost | undefined;
}

/** What a checkpoint makes of the evaluation pictures of its job: similarities, and pictures found by text. */
export function inspectionRoutes(server: FastifyInstance, { inspector }: InspectionRouteDeps): void {
  serve(server, OPERATIONS.getSimilarity, ({ control, params, query }) =>
    look(control, params.id, 'similarity', query),
  );

  serve(server, OPERATIONS.searchPictures, async ({ control, params, query }) => ({
    items: await look(control, params.id, 'search', query),
    nextCursor: null,
  }));

  serve(server, OPERATIONS.getSamplePicture, async ({ control, params, reply }) => {
    const { png } = await look(control, params.id, 'picture', { index: parseIndex(params.index) });
    return reply.header('cache-control', 'private, max-age=3600').type('image/png').send(Buffer.from(png, 'base64'));
  });

  async function look<C extends InspectorCall>(
    control: ControlPlane,
    id: string,
    call: C,
    ask: InspectorCalls[C]['ask'],
  ): Promise<InspectorCalls[C]['answer']> {
    const checkpoint = await control.getCheckpoint(id);
    if (inspector === undefined) {
      throw fieldError('config_invalid', {
        path: 'STORAGE_URL',
        message: 'is not set where this API runs, so it cannot read checkpoints',
        remedy: 'Set it to the store of the workers.',
      });
    }
    const { spec } = await control.getJob(checkpoint.jobId);
    const { key } = await control.checkpointFile(id, checkpoint.files[0]!.name);
    return await inspector.ask({ checkpoint, prefix: dirname(key), spec }, call, ask);
  }
}

function parseIndex(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw fieldError('request_invalid', {
    path: 'index',
    message: 'is not the index of a sample',
    value: text,
    remedy: 'Use an index that the similarity or a search names.',
  });
}
