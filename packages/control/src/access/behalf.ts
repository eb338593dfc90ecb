import type { OperationId } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';
import { type Caller, LOCAL } from './caller.js';

/** What was changed. */
export interface Change {
  readonly target: string | null;
  readonly project: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** One request: who asks, and the record of what it changes. */
export class Behalf {
  readonly caller: Caller;
  readonly #request: { readonly requestId: string | null; readonly address: string | null };
  #settled = false;

  constructor(caller: Caller = LOCAL, request = { requestId: null, address: null } as RequestOrigin) {
    this.caller = caller;
    this.#request = request;
  }

  /** Writes to the audit log, in the transaction of the change. */
  async record(tx: Repositories, action: OperationId, change: Change): Promise<void> {
    const { name: actor, tokenId } = this.caller;
    await tx.audit.append({ actor, tokenId, action, details: {}, ...change, ...this.#request });
    this.#settled = true;
  }

  /** A repeat of a request that was carried out before. */
  changesNothing(): void {
    this.#settled = true;
  }

  /** Whether nothing is left to record. */
  get settled(): boolean {
    return this.#settled;
  }
}

export interface RequestOrigin {
  readonly requestId: string | null;
  readonly address: string | null;
}
