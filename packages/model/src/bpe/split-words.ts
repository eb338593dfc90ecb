/** What CLIP's tokenizer takes for a caption's ends, when a caption spells it out. */
export const START_OF_TEXT = '<start_of_text>';
export const END_OF_TEXT = '<end_of_text>';

/**
 * The pieces that pairs are merged in, never across: English contractions, runs of letters, single digits, runs of marks.
 * The long s is an s here, and U+0345 nothing at all: so it comes out where `regex` of Python ignores case.
 */
const WORD = /<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|(?:(?!\u0345)[^ \p{L}\p{N}])+/gu;

/** The words of a cleaned caption, one after another. */
export function* splitWords(text: string): Iterable<string> {
  for (const match of text.matchAll(WORD)) yield match[0];
}
