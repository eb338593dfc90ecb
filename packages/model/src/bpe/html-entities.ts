import type { HTML_ENTITIES } from 'ftfy-js/chardata';

/** Names that HTML 5 also knows without their semicolon, as old browsers did. */
const WITHOUT_SEMICOLON = new Set(
  `AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute Icirc Igrave Iuml LT
  Ntilde Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc Ugrave Uuml Yacute aacute acirc acute aelig
  agrave amp aring atilde auml brvbar ccedil cedil cent copy curren deg divide eacute ecirc egrave eth euml frac12 frac14
  frac34 gt iacute icirc iexcl igrave iquest iuml laquo lt macr micro middot nbsp not ntilde oacute ocirc ograve ordf ordm
  oslash otilde ouml para plusmn pound quot raquo reg sect shy sup1 sup2 sup3 szlig thorn times uacute ucirc ugrave uml
  uuml yacute yen yuml`.split(/\s+/),
);
/** The names in capitals that are HTML's own; ftfy's table adds many more. */
const CAPITALS = new Set(['AMP', 'COPY', 'ENG', 'ETH', 'GT', 'LT', 'QUOT', 'REG', 'THORN', 'TRADE']);

/** HTML 5's character references by name, `amp;` and `amp` among them: Python's `html.entities.html5`, out of ftfy's table. */
export function htmlEntities(ofFtfy: typeof HTML_ENTITIES): ReadonlyMap<string, string> {
  const entities = new Map<string, string>();
  for (const [reference, character] of Object.entries(ofFtfy)) {
    const name = reference.slice(1, -1);
    // What ftfy adds is a name in capitals that stands for the same in small letters.
    const small = ofFtfy[`&${name.toLowerCase()};`];
    if (name === name.toUpperCase() && character === small?.toUpperCase() && !CAPITALS.has(name)) continue;
    entities.set(`${name};`, character);
    if (WITHOUT_SEMICOLON.has(name)) entities.set(name, character);
  }
  return entities;
}

const REFERENCE = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;

/** Windows-1252's characters at 0x80 to 0x9f; what it leaves empty stays a control character. */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';
const REPLACEMENT = '\ufffd';

/** Resolves character references as Python's `html.unescape` does, malformed ones among them. */
export function unescapeHtml(text: string, entities: ReadonlyMap<string, string>): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (whole, reference: string) => {
    if (reference.startsWith('#')) return numbered(reference.slice(1).replace(';', ''));
    const exact = entities.get(reference);
    if (exact !== undefined) return exact;
    for (let end = reference.length - 1; end > 1; end--) {
      const character = entities.get(reference.slice(0, end));
      if (character !== undefined) return character + reference.slice(end);
    }
    return whole;
  });
}

function numbered(digits: string): string {
  const code = /^x/i.test(digits) ? Number.parseInt(digits.slice(1), 16) : Number.parseInt(digits, 10);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return REPLACEMENT;
  if (code >= 0x80 && code <= 0x9f) return WINDOWS_1252[code - 0x80]!;
  return isForbidden(code) ? '' : String.fromCodePoint(code);
}

/** Control characters and what Unicode calls no character at all; a carriage return is let through. */
function isForbidden(code: number): boolean {
  if (code === 0x0b || (code >= 0x01 && code <= 0x08) || (code >= 0x0e && code <= 0x1f) || code === 0x7f) return true;
  return (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
}
