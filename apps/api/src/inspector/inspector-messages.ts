import type { PictureMatch, SerializedError, Similarity } from '@clipyard/contracts';
import type { InspectedCheckpoint } from '@clipyard/trainer';

/** Messages between the API and the process that looks into a checkpoint; JSON over the child process channel. */

export interface InspectorStart extends InspectedCheckpoint {
  readonly storageUrl: string;
  readonly threads: number;
}

export interface InspectorCalls {
  similarity: { ask: { readonly count: number }; answer: Similarity };
  search: { ask: { readonly text: string; readonly limit: number }; answer: readonly PictureMatch[] };
  /** `png` in base64. */
  picture: { ask: { readonly index: number }; answer: { readonly png: string } };
}
export type InspectorCall = keyof InspectorCalls;

export type InspectorRequest =
  | { readonly type: 'open'; readonly start: InspectorStart }
  | {
      [C in InspectorCall]: { readonly type: 'call'; readonly call: C; readonly ask: InspectorCalls[C]['ask'] };
    }[InspectorCall];

/** One for each request, in their order. */
export type InspectorAnswer =
  | { readonly ok: true; readonly answer: unknown }
  | { readonly ok: false; readonly error: SerializedError };
