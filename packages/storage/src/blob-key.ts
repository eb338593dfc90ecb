import { fieldError } from '@clipyard/contracts';

/** Longest key, in UTF-8 bytes. */
const KEY_BYTES = 1024;
/** Longest segment of a key, in UTF-8 bytes: what common file systems take. */
const SEGMENT_BYTES = 255;

/** What XML, in which S3 lists keys, cannot hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it finds
const CONTROL = /[\u0000-\u001f\u007f\ufffe\uffff]|\p{Surrogate}/u;

/** Segment under which unfinished writes lie; no key may begin with it. */
export const TEMPORARY_SEGMENT = '.clipyard-tmp';

/** Throws `request_invalid` unless `key` names one blob: relative, `/`-separated, no empty, `.` or `..` segment, no backslash or control character. */
export function checkBlobKey(key: string): void {
  const reason = key === '' ? 'is empty' : problemOf(key, key.split('/'));
  if (reason !== undefined) throw invalidKey('key', key, reason);
}

/** As `checkBlobKey`, for a prefix: empty (everything), or cut off anywhere, also after a slash. */
export function checkBlobPrefix(prefix: string): void {
  const segments = prefix.split('/');
  if (segments.at(-1) === '') segments.pop();
  const reason = prefix.startsWith('/') ? 'is absolute' : problemOf(prefix, segments);
  if (reason !== undefined) throw invalidKey('prefix', prefix, reason);
}

function problemOf(text: string, segments: readonly string[]): string | undefined {
  if (CONTROL.test(text)) return 'contains a control character';
  if (text.includes('\\')) return 'contains a backslash';
  if (text.startsWith('/')) return 'is absolute';
  if (Buffer.byteLength(text) > KEY_BYTES) return `is longer than ${KEY_BYTES} bytes`;
  if (segments[0] === TEMPORARY_SEGMENT) return `begins with the reserved segment \`${TEMPORARY_SEGMENT}\``;
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has a \`${segment}\` segment`;
    if (Buffer.byteLength(segment) > SEGMENT_BYTES) return `has a segment longer than ${SEGMENT_BYTES} bytes`;
  }
  return undefined;
}

const invalidKey = (path: string, value: string, message: string) =>
  fieldError('request_invalid', {
    path,
    message: `${JSON.stringify(value)} ${message}`,
    value,
    remedy: 'Use a relative key such as `runs/job-1/step-200/model.safetensors`.',
  });
