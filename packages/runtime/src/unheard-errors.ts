import type { EventEmitter } from 'node:events';

// biome-ignore lint/suspicious/noExplicitAny: TypeScript asks for it of a class that is extended
type EmitterClass = new (...args: any[]) => EventEmitter;

/**
 * `Base` with `error` events dropped where nobody listens, which would end the process: for clients of a pool or library
 * that does not always listen, where the next call tells of the error anyway.
 */
export function dropUnheardErrors<C extends EmitterClass>(Base: C): C {
  return class extends Base {
    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event === 'error' && this.listenerCount('error') === 0) return false;
      return super.emit(event, ...args);
    }
  };
}
