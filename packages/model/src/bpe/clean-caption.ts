import { createRequire } from 'node:module';
import { htmlEntities, unescapeHtml } from './html-entities.js';

const require = createRequire(import.meta.url);

/** What ftfy and HTML leave as it is, so that it needs neither: nearly all captions in English. */
const PLAIN = /^[\t\n\x20-\x25\x27-\x7e]*$/;
/** Python's white space, which is not quite JavaScript's. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: U+001C to U+001F are white space to Python
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;

interface Repairs {
  readonly fixText: (text: string) => string;
  readonly entities: ReadonlyMap<string, string>;
}
let repairs: Repairs | undefined;

/** Loaded when the first caption needs it: ftfy's tables are 5 MB. */
function loadRepairs(): Repairs {
  const { fix_text } = require('ftfy-js') as typeof import('ftfy-js');
  const { HTML_ENTITIES } = require('ftfy-js/chardata') as typeof import('ftfy-js/chardata');
  return { fixText: (text) => fix_text(text), entities: htmlEntities(HTML_ENTITIES) };
}

/**
 * A caption as CLIP's tokenizer cleans it: ftfy's repairs (wrongly decoded text, curly quotes, widths, control
 * characters), character references of HTML resolved twice, single spaces, small letters.
 */
export function cleanCaption(caption: string): string {
  let text = caption;
  if (!PLAIN.test(caption)) {
    repairs ??= loadRepairs();
    const { fixText, entities } = repairs;
    text = unescapeHtml(unescapeHtml(fixText(caption), entities), entities);
  }
  return text.replace(SPACES, ' ').replace(/^ | $/g, '').toLowerCase();
}
