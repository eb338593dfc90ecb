import type { Terminal } from './terminal.js';

/** A terminal that keeps what is written, for tests and for callers that want text. */
export class TextTerminal implements Terminal {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly statuses: string[] = [];
  readonly blocks: (readonly string[])[] = [];
  readonly isTty: boolean;
  readonly hasTrueColor: boolean;
  readonly columns = 100;

  constructor({ isTty = false, hasTrueColor = false }: { isTty?: boolean; hasTrueColor?: boolean } = {}) {
    this.isTty = isTty;
    this.hasTrueColor = hasTrueColor;
  }

  get text(): string {
    return this.lines.join('\n');
  }

  out(line: string): void {
    this.lines.push(line);
  }

  id(): void {}

  err(line: string): void {
    this.errors.push(line);
  }

  status(line: string | undefined): void {
    if (line !== undefined) this.statuses.push(line);
  }

  block(lines: readonly string[] | undefined): void {
    if (lines !== undefined) this.blocks.push(lines);
  }
}
