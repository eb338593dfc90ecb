import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HTML_ENTITIES } from 'ftfy-js/chardata';
import { describe, expect, it } from 'vitest';
import { htmlEntities, unescapeHtml } from './html-entities.js';

const entities = htmlEntities(HTML_ENTITIES);
const resolve = (text: string) => unescapeHtml(text, entities);

describe('character references', () => {
  it('are the 2,231 of HTML 5, each with what Python has for it', () => {
    const fixture = readFileSync(new URL('fixtures/open-clip-tokens.json', import.meta.url), 'utf8');
    const { entitiesSha256 } = JSON.parse(fixture) as { entitiesSha256: string };
    const rows = [...entities].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}\t${value}\n`);
    expect(rows).toHaveLength(2231);
    expect(createHash('sha256').update(rows.join('')).digest('hex')).toBe(entitiesSha256);
  });

  it.each([
    ['&amp;amp;', '&amp;'],
    ['&notit; &notin;', '¬it; ∉'],
    ['&EACUTE; &Eacute', '&EACUTE; É'],
    ['&#150;&#x80;&#0;&#xD800;&#1114112;', '–€\ufffd\ufffd\ufffd'],
    ['&#1;&#xFFFE;&#x1FFFF;&#13;|', '\r|'],
    ['&; &# &#x; & &zz;', '&; &# &#x; & &zz;'],
    ['&constructor; &__proto__;', '&constructor; &__proto__;'],
  ])('%s becomes %j', (text, expected) => expect(resolve(text)).toBe(expected));
});
