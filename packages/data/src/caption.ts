import { ClipyardError } from '@clipyard/contracts';

/** Longest caption that is kept, characters; the tokenizer cuts far earlier. */
const MAX_CAPTION_CHARS = 16_384;

/** A caption with its white space tidied. Throws `caption_empty` when nothing is left; `name` names the sample. */
export function cleanCaption(text: string, name: string): string {
  const caption = text.slice(0, MAX_CAPTION_CHARS).replace(/\s+/g, ' ').trim();
  if (caption === '') throw emptyCaption(name, 'it holds nothing but white space');
  return caption;
}

/** The error of a sample without a usable caption. */
export function emptyCaption(name: string, reason: string): ClipyardError {
  const remedy = 'Give it a caption or remove it; up to maxBadFraction of the samples may be bad.';
  return new ClipyardError('caption_empty', `The caption of ${name} is empty: ${reason}. ${remedy}`, {
    fields: [{ path: 'caption', message: reason, value: name, remedy }],
  });
}
