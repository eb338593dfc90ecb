import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BpeTokenizer } from './bpe-tokenizer.js';
import { BpeVocabulary } from './bpe-vocabulary.js';
import { clipMerges } from './clip-merges.js';

interface Fixture {
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly mergesSha256: string;
  readonly entitiesSha256: string;
  /** Captions with their ids up to end-of-text, 16 bit each, base64. */
  readonly groups: Readonly<Record<string, readonly (readonly [caption: string, ids: string])[]>>;
}

const fixture = JSON.parse(
  readFileSync(new URL('../../src/bpe/fixtures/open-clip-tokens.json', import.meta.url), 'utf8'),
) as Fixture;
const { contextLength } = fixture;
const tokenizer = new BpeTokenizer(new BpeVocabulary(clipMerges()), { type: 'clip', contextLength });

function expectedRow(packed: string): Int32Array {
  const bytes = Buffer.from(packed, 'base64');
  const row = new Int32Array(contextLength);
  for (let i = 0; i < bytes.length / 2; i++) row[i] = bytes.readUInt16LE(2 * i);
  return row;
}

describe("open_clip's tokens", () => {
  it.each(Object.keys(fixture.groups))('%s', (group) => {
    const different = fixture.groups[group]!.filter(
      ([caption, ids]) =>
        Buffer.compare(Buffer.from(tokenizer.encode(caption).buffer), Buffer.from(expectedRow(ids).buffer)) !== 0,
    );
    expect(different.map(([caption]) => caption)).toEqual([]);
  });
});
