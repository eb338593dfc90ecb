import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Names that say that a constant is a limit, and those that do without saying so. */
const LIMIT_NAME = /^(MAX_\w+|\w+_MAX_MS|\w*LIMIT_MS|\w*TIMEOUT_MS|\w+_GRACE_MS|\w*CONCURRENCY|\w+_TRIES|TRIES)$/;
const MORE_LIMITS = new Set([
  'BATCH_SIZE',
  'BLOB_WINDOW_BYTES',
  'DEFAULT_CACHE_BYTES',
  'DOWNLOAD_PART_BYTES',
  'FILE_WINDOW_BYTES',
  'KEY_BYTES',
  'PREFETCH_STEPS',
  'SAFETENSORS_HEADER_BYTES',
  'SCRATCH_BYTES',
  'SEGMENT_BYTES',
  'STALE_UPLOAD_MS',
  'STREAM_BYTES',
  'UPLOAD_PART_BYTES',
  'VOCABULARY_CAPTIONS',
  'WINDOW_BYTES',
]);
/** A constant of a file with the comment before it, if it has one. */
const CONSTANT = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?(?:export )?const ([A-Z][A-Z0-9_]+) = ([\d_ *<]+);/g;

/** The limits that stand in the sources of packages and apps, with the comment of each. Throws where one has none. */
export function constantLimits(root) {
  const found = [];
  for (const area of ['packages', 'apps']) {
    for (const entry of readdirSync(join(root, area), { recursive: true, withFileTypes: true })) {
      const file = relative(root, join(entry.parentPath, entry.name));
      if (!/^\w+\/\w+\/src\/.*(?<!\.test|harness)\.ts$/.test(file) || file.startsWith('packages/testkit/')) continue;
      for (const [, comment, name, text] of readFileSync(join(root, file), 'utf8').matchAll(CONSTANT)) {
        if (name === 'NO_LIMIT_MS' || !(LIMIT_NAME.test(name) || MORE_LIMITS.has(name))) continue;
        const meaning = comment?.replace(/\s*\n\s*\*?\s*/g, ' ').trim();
        if (meaning === undefined) throw new Error(`${file}: ${name} has no comment that says what it limits`);
        found.push({ file, name, value: amountOf(text), meaning });
      }
    }
  }
  return found.sort((a, b) => (`${a.file} ${a.name}` < `${b.file} ${b.name}` ? -1 : 1));
}

/** The value of a product or shift of numbers, as limits are written. */
function amountOf(text) {
  const [first, ...rest] = text.replaceAll('_', '').split(/(\*\*?|<<)/);
  let value = Number(first);
  for (let at = 0; at < rest.length; at += 2) {
    const operand = Number(rest[at + 1]);
    value = rest[at] === '*' ? value * operand : rest[at] === '**' ? value ** operand : value * 2 ** operand;
  }
  return value;
}
