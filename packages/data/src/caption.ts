import { ClipyardError } from '@clipyard/contracts';

/** Longest caption that is kept, characters; the tokenizer cuts far earlier. */
const MAX_CAPTION_CHARS = 16_384;

/**
 * A caption as it stands in its file, but for line ends behind it: tokenizers clean captions in ways of their own, and CLIP's
 * repairs what was decoded wrongly, which some white space is a part of. Throws `caption_empty` when nothing is left; `name`
 * names the sample.
 */
export function captionOf(text: string, name: string): string {
  const caption = text.slice(0, MAX_CAPTION_CHARS).replace(/[\r\n]+$/, '');
  if (caption.trim() === '') throw emptyCaption(name, 'it holds nothing but white space');
  return caption;
}

/** On one line with single spaces: to show, and to tell whether captions are the same. */
export const singleSpaced = (caption: string): string => caption.replace(/\s+/g, ' ').trim();

/** The error of a sample without a usable caption. */
export function emptyCaption(name: string, reason: string): ClipyardError {
  const remedy = 'Give it a caption or remove it; up to maxBadFraction of the samples may be bad.';
  return new ClipyardError('caption_empty', `The caption of ${name} is empty: ${reason}. ${remedy}`, {
    fields: [{ path: 'caption', message: reason, value: name, remedy }],
  });
}
