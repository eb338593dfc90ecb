import type { ClassSet } from '@clipyard/data';
import { type EmbeddedShare, embedShare } from './embedded-share.js';
import type { Embedder } from './embedder.js';
import type { EvaluationShare } from './evaluation-share.js';

export interface Learned {
  readonly share: EmbeddedShare;
  readonly classes: ClassSet | undefined;
  /** Its place in the spec. */
  readonly path: string;
}

interface Source {
  readonly share: EvaluationShare;
  /** Its place in the spec. */
  readonly path: string;
  /** Opened for tasks alone, and closed with them. */
  readonly owned: boolean;
}

/** The samples that tasks learn from: opened once, embedded once an evaluation, however many tasks share them. */
export class LearningData {
  readonly #sources = new Map<string, Source>();
  readonly #embedded = new Map<string, EmbeddedShare>();

  add(key: string, source: Source): void {
    this.#sources.set(key, source);
  }

  has(key: string): boolean {
    return this.#sources.has(key);
  }

  async embed(key: string, embedder: Embedder, signal: AbortSignal): Promise<Learned> {
    const { share, path } = this.#sources.get(key)!;
    const embedded = this.#embedded.get(key) ?? (await embedShare(embedder, share, signal));
    this.#embedded.set(key, embedded);
    return { share: embedded, classes: share.dataset.classes, path };
  }

  async close(): Promise<void> {
    for (const { share, owned } of this.#sources.values()) if (owned) await share.dataset.close();
  }

  /** Lets go of what was embedded with weights that will change. */
  forget(): void {
    this.#embedded.clear();
  }
}
