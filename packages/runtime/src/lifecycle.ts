type Close = () => void | Promise<void>;

/** Resources by name, closed in the reverse order of their opening, each once, whatever the others do. */
export class Lifecycle {
  readonly #open: { readonly name: string; readonly close: Close }[] = [];
  #closing: Promise<void> | undefined;

  /** Adds what must be undone later. After `close` was called it is undone at once. */
  add(name: string, close: Close): void {
    if (this.#closing === undefined) {
      this.#open.push({ name, close });
      return;
    }
    this.#closing = this.#closing.then(async () => {
      await close();
    });
  }

  /** Adds a resource that has a `close` of its own, and returns it. */
  use<T extends { close(): void | Promise<void> }>(name: string, resource: T): T {
    this.add(name, () => resource.close());
    return resource;
  }

  /** Closes everything, once; rejects with an AggregateError that names what failed, after all the rest was closed. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeAll(): Promise<void> {
    const errors: Error[] = [];
    for (let entry = this.#open.pop(); entry !== undefined; entry = this.#open.pop()) {
      try {
        await entry.close();
      } catch (cause) {
        errors.push(new Error(`${entry.name} could not be closed`, { cause }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map(({ message }) => message).join('; '));
  }
}
