import type { ClipyardError } from '@clipyard/contracts';

export const EXIT = {
  ok: 0,
  /** The job failed or was cancelled, or the server reported a fault of its own. */
  failed: 1,
  /** The command line, a file or a request is not valid. */
  usage: 2,
  unreachable: 3,
  /** Ended by Ctrl-C, as shells count it. */
  interrupted: 130,
} as const;

export function exitCodeOf(error: ClipyardError): number {
  if (error.code === 'server_unreachable') return EXIT.unreachable;
  if (error.code === 'port_taken' || error.code === 'cancelled') return EXIT.failed;
  return error.fault === 'user' ? EXIT.usage : EXIT.failed;
}
