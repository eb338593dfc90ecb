import type { Terminal } from './terminal.js';

/** A terminal that can be told to print nothing but ids and errors. */
export class QuietTerminal implements Terminal {
  readonly #inner: Terminal;
  quiet = false;

  constructor(inner: Terminal) {
    this.#inner = inner;
  }

  get isTty(): boolean {
    return this.#inner.isTty;
  }

  get hasTrueColor(): boolean {
    return this.#inner.hasTrueColor;
  }

  get columns(): number {
    return this.#inner.columns;
  }

  out(line: string): void {
    if (!this.quiet) this.#inner.out(line);
  }

  id(id: string): void {
    if (this.quiet) this.#inner.out(id);
    else this.#inner.id(id);
  }

  err(line: string): void {
    this.#inner.err(line);
  }

  status(line: string | undefined): void {
    if (!this.quiet) this.#inner.status(line);
  }

  block(lines: readonly string[] | undefined): void {
    if (!this.quiet) this.#inner.block(lines);
  }
}
