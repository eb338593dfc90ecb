import { strict as assert } from 'node:assert';
import { openEngine } from '@clipyard/engine';
import { openBlobStore } from '@clipyard/storage';
import { CheckpointInspector, type InspectorDeps } from '@clipyard/trainer';
import type { InspectorRequest, InspectorStart } from './inspector-messages.js';

/** Answers the requests of the API about one checkpoint. */
export class InspectorSession {
  #inspector: CheckpointInspector | undefined;

  constructor(private readonly log: InspectorDeps['log']) {}

  async answer(request: InspectorRequest, signal: AbortSignal): Promise<unknown> {
    if (request.type === 'open') return await this.#open(request.start, signal);
    const inspector = this.#inspector;
    assert(inspector !== undefined, 'a checkpoint is opened first');
    switch (request.call) {
      case 'similarity':
        return await inspector.similarity(request.ask.count, signal);
      case 'search':
        return await inspector.search(request.ask.text, request.ask.limit, signal);
      case 'picture':
        return { png: Buffer.from(await inspector.picture(request.ask.index, signal)).toString('base64') };
    }
  }

  async #open({ storageUrl, threads, ...of }: InspectorStart, signal: AbortSignal): Promise<null> {
    const store = await openBlobStore(storageUrl, { signal });
    const engine = await openEngine({ engine: 'onnxruntime', threads, slot: 0 });
    this.#inspector = await CheckpointInspector.open({ engine, store, log: this.log }, of, signal);
    return null;
  }
}
