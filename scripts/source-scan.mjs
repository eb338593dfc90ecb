/**
 * Reads the imports of a TypeScript or JavaScript source without a parser: comments and the insides of strings,
 * templates and regular expressions are blanked first, so that what is matched afterwards is code.
 */

const REGEX_MAY_FOLLOW =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^])\s*$|(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|await|yield)\s*$/;

/**
 * Blanks everything that is not code; the length and the line breaks stay. `strings` holds the text of each quoted
 * string by the offset of its opening quote.
 * @param {string} source
 * @returns {{ code: string, strings: Map<number, string> }}
 */
export function maskSource(source) {
  /** @type {Map<number, string>} */
  const strings = new Map();
  const out = source.split('');
  /** Depth of braces at which each open `${` of a template ends. @type {number[]} */
  const templates = [];
  let depth = 0;
  let at = 0;

  const blank = (from, to) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  const templateBody = (from) => {
    let i = from;
    for (; i < source.length; i++) {
      if (source[i] === '\\') i++;
      else if (source[i] === '`') break;
      else if (source[i] === '$' && source[i + 1] === '{') {
        blank(from, i);
        templates.push(depth++);
        return i + 2;
      }
    }
    blank(from, i);
    return i + 1;
  };

  while (at < source.length) {
    const char = source[at];
    const next = source[at + 1];
    if (char === '/' && next === '/') {
      const end = source.indexOf('\n', at);
      const to = end === -1 ? source.length : end;
      blank(at, to);
      at = to;
    } else if (char === '/' && next === '*') {
      const end = source.indexOf('*/', at + 2);
      const to = end === -1 ? source.length : end + 2;
      blank(at, to);
      at = to;
    } else if (char === "'" || char === '"') {
      const end = endOfQuoted(source, at + 1, char);
      strings.set(at, source.slice(at + 1, end));
      blank(at + 1, end);
      at = end + 1;
    } else if (char === '`') {
      at = templateBody(at + 1);
    } else if (char === '/' && REGEX_MAY_FOLLOW.test(out.slice(Math.max(0, at - 40), at).join(''))) {
      const end = endOfRegex(source, at + 1);
      blank(at + 1, end);
      at = end + 1;
    } else {
      if (char === '{') depth++;
      if (char === '}') {
        depth--;
        if (templates.at(-1) === depth) {
          templates.pop();
          at = templateBody(at + 1);
          continue;
        }
      }
      at++;
    }
  }
  return { code: out.join(''), strings };
}

function endOfQuoted(source, from, quote) {
  let i = from;
  while (i < source.length && source[i] !== quote && source[i] !== '\n') i += source[i] === '\\' ? 2 : 1;
  return i;
}

function endOfRegex(source, from) {
  let inClass = false;
  let i = from;
  for (; i < source.length && source[i] !== '\n'; i++) {
    if (source[i] === '\\') i++;
    else if (source[i] === '[') inClass = true;
    else if (source[i] === ']') inClass = false;
    else if (source[i] === '/' && !inClass) break;
  }
  return i;
}

const STATEMENT = /\b(import|export)\b((?:(?!\b(?:import|export)\b)[^'"`;()])*?)(?:\bfrom\s*)?(['"])/g;
const CALL = /\b(?:import|require(?:\.resolve)?|import\.meta\.resolve)\s*\(\s*(['"])/g;

/**
 * Every module that a source names, with its line and whether only types come from it.
 * @param {string} source
 * @returns {{ specifier: string, line: number, typeOnly: boolean }[]}
 */
export function importsOf(source) {
  const { code, strings } = maskSource(source);
  const found = [];
  const add = (offset, typeOnly) => {
    const specifier = strings.get(offset);
    if (specifier !== undefined) found.push({ specifier, line: lineAt(code, offset), typeOnly });
  };
  for (const match of code.matchAll(STATEMENT)) {
    const clause = match[2];
    const hasFrom = /\bfrom\s*['"]$/.test(match[0]);
    if (!hasFrom && !(match[1] === 'import' && clause.trim() === '')) continue;
    add(match.index + match[0].length - 1, isTypeOnly(clause));
  }
  for (const match of code.matchAll(CALL)) add(match.index + match[0].length - 1, false);
  return found.sort((a, b) => a.line - b.line);
}

function isTypeOnly(clause) {
  if (/^\s*type\b/.test(clause)) return true;
  const named = /^\s*\{([^}]*)\}\s*$/.exec(clause);
  if (named === null) return false;
  const names = named[1].split(',').filter((name) => name.trim() !== '');
  return names.length > 0 && names.every((name) => /^\s*type\s/.test(name));
}

/** The 1-based line of an offset. */
export function lineAt(text, offset) {
  let line = 1;
  for (let i = 0; i < offset; i++) if (text.charCodeAt(i) === 10) line++;
  return line;
}
