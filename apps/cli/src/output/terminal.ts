/** What commands write to; a terminal, a pipe, or the strings of a test. */
export interface Terminal {
  /** Results, on stdout. */
  out(line: string): void;
  /** Messages about the work, on stderr. */
  err(line: string): void;
  /** Replaces the one line that updates in place, on a TTY; undefined clears it. */
  status(line: string | undefined): void;
  readonly isTty: boolean;
  /** Whether 24-bit colours can be shown. */
  readonly hasTrueColor: boolean;
  readonly columns: number;
}

const CLEAR_LINE = '\r\u001b[2K';

/** The terminal of this process. */
export function processTerminal(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Terminal {
  const isTty = stdout.isTTY === true;
  let status: string | undefined;
  const above = (stream: NodeJS.WriteStream, line: string) => {
    if (status !== undefined) stdout.write(CLEAR_LINE);
    stream.write(`${line}\n`);
    if (status !== undefined) stdout.write(status);
  };
  return {
    isTty,
    get hasTrueColor() {
      return isTty && stdout.hasColors(2 ** 24);
    },
    get columns() {
      return stdout.columns || 80;
    },
    out: (line) => above(stdout, line),
    err: (line) => above(stderr, line),
    status(line) {
      if (!isTty || (line === undefined && status === undefined)) return;
      // One column short: a full line would wrap, and a wrapped line cannot be taken back.
      status = line?.slice(0, (stdout.columns || 80) - 1);
      stdout.write(CLEAR_LINE + (status ?? ''));
    },
  };
}
