import pg from 'pg';

/**
 * A client that a lost connection does not end the process with: its errors are dropped where nobody listens. Pools listen
 * to idle clients only, and BullMQ stops listening before it ends one; whoever uses the client learns from the next query.
 */
export class SteadyClient extends pg.Client {
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'error' && this.listenerCount('error') === 0) return false;
    return super.emit(event, ...args);
  }
}
