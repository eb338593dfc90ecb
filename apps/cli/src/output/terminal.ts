/** What commands write to; a terminal, a pipe, or the strings of a test. */
export interface Terminal {
  /** Results, on stdout. */
  out(line: string): void;
  /** The id of what a command made or lists, for --quiet, which prints nothing else. */
  id(id: string): void;
  /** Messages about the work, on stderr. */
  err(line: string): void;
  /** Replaces the one line that updates in place, on a TTY; undefined clears it. */
  status(line: string | undefined): void;
  /** Replaces the lines that update in place, on a TTY; undefined leaves them where they are. */
  block(lines: readonly string[] | undefined): void;
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
  let blockLines = 0;
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
    id: () => {},
    err: (line) => above(stderr, line),
    status(line) {
      if (!isTty || (line === undefined && status === undefined)) return;
      // One column short: a full line would wrap, and a wrapped line cannot be taken back.
      status = line?.slice(0, (stdout.columns || 80) - 1);
      stdout.write(CLEAR_LINE + (status ?? ''));
    },
    block(lines) {
      if (!isTty) return;
      if (lines === undefined) {
        blockLines = 0;
        return;
      }
      // A line that wraps, or one above the window, could not be taken back.
      const shown = lines.slice(0, Math.max(1, (stdout.rows || 24) - 1));
      const back = blockLines === 0 ? '' : `\u001b[${blockLines}A`;
      const text = shown.map((line) => `\u001b[2K${line.slice(0, (stdout.columns || 80) - 1)}\n`).join('');
      stdout.write(`${back}${text}\u001b[J`);
      blockLines = shown.length;
    },
  };
}
