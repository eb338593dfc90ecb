/**
 * Emoji as a data set: pictures of Twemoji (CC-BY 4.0) drawn at 64 x 64 on white, captions from Unicode's names and
 * emojilib's keywords. All of it comes from npm packages that are dev dependencies of the repository.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';

const PICTURE_PIXELS = 64;
/** Words of a caption, so that the whole of it fits a short context. */
const CAPTION_WORDS = 12;
/** One emoji of so many is held out. */
const HELD_OUT_EVERY = 10;

const require = createRequire(import.meta.url);

/** @type {import('@clipyard/data').PackRecipe} */
export default {
  name: 'emoji',
  shardSize: 200,
  splits: {
    train: ({ signal }) => samples({ signal, heldOut: false }),
    heldout: ({ signal }) => samples({ signal, heldOut: true }),
  },
};

async function* samples({ signal, heldOut }) {
  const folder = dirname(require.resolve('@twemoji/svg/package.json'));
  const drawn = new Set(await readdir(folder));
  const names = require('unicode-emoji-json/data-by-emoji.json');
  const keywords = require('emojilib');
  const seen = new Set();
  let number = 0;
  for (const [emoji, { name, group }] of Object.entries(names)) {
    signal?.throwIfAborted();
    const file = fileNames(emoji).find((candidate) => drawn.has(candidate));
    const caption = captionOf(name, keywords[emoji] ?? []);
    if (file === undefined || caption === '') continue;
    const svg = await readFile(join(folder, file));
    // Some flags are drawn alike (Norway, Svalbard), some names reduce to the same words: every pair shall be unique.
    const picture = createHash('sha256').update(svg).digest('hex');
    if (seen.has(picture) || seen.has(caption)) continue;
    seen.add(picture).add(caption);
    if ((number++ % HELD_OUT_EVERY === HELD_OUT_EVERY - 1) !== heldOut) continue;
    yield { key: file.replace('.svg', ''), image: await draw(svg), ext: 'png', caption, json: { emoji, name, group } };
  }
}

/** Twemoji leaves the variation selector out, except from some joined sequences. */
function fileNames(emoji) {
  const points = [...emoji].map((character) => character.codePointAt(0).toString(16));
  return [`${points.join('-')}.svg`, `${points.filter((point) => point !== 'fe0f').join('-')}.svg`];
}

/** The name, then keywords as far as they say something new, in plain lower-case words. */
function captionOf(name, keywords) {
  const words = [];
  // Emoticons such as `:D` are keywords too.
  const spelt = keywords.filter((keyword) => /^\p{L}[\p{L}\p{N}_’' -]+$/u.test(keyword));
  for (const phrase of [name, ...spelt.map((keyword) => keyword.replaceAll('_', ' '))]) {
    const fresh = plainWords(phrase).filter((word) => !words.includes(word));
    if (words.length > 0 && words.length + fresh.length > CAPTION_WORDS) continue;
    // Within the name a word may recur, as in "man and woman holding hands man".
    words.push(...(words.length === 0 ? plainWords(phrase) : fresh));
  }
  return words.join(' ');
}

const plainWords = (phrase) =>
  phrase
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
    .split(' ')
    .filter((word) => word !== '');

const draw = (svg) =>
  sharp(svg, { density: (72 * PICTURE_PIXELS) / 36 })
    .resize(PICTURE_PIXELS, PICTURE_PIXELS)
    .flatten({ background: '#ffffff' })
    .png({ compressionLevel: 9 })
    .toBuffer();
