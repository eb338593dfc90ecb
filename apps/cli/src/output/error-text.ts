import { type ClipyardError, ERRORS } from '@clipyard/contracts';

/** Longest value that is repeated in an error, characters. */
const MAX_VALUE_CHARS = 200;

/** An error for people: what it is, then each field with its value and the remedy. */
export function errorText(error: ClipyardError): string {
  const lines = [`error ${error.code}: ${ERRORS[error.code].title}`];
  if (error.fields.length === 0) lines.push(`  ${error.message}`);
  for (const { path, message, value, remedy } of error.fields) {
    lines.push(`  ${path}: ${message}`);
    if (value !== undefined)
      lines.push(`    value:  ${shorten(typeof value === 'string' ? value : JSON.stringify(value))}`);
    if (remedy !== undefined) lines.push(`    remedy: ${remedy}`);
  }
  return lines.join('\n');
}

function shorten(text: string): string {
  return text.length <= MAX_VALUE_CHARS ? text : `${text.slice(0, MAX_VALUE_CHARS)}…`;
}
