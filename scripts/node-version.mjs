/** The least Node.js that Clipyard runs on; `engines` in package.json says the same, and a test compares them. */
export const NEEDED = '20.19.0';

/**
 * What is wrong with this Node.js, as text for a terminal, or undefined. Written in the JavaScript of Node 14, so that an
 * old one gets to say so.
 * @param {string} found such as 20.19.0
 * @returns {string | undefined}
 */
export function nodeTooOld(found) {
  if (compare(parse(found), parse(NEEDED)) >= 0) return undefined;
  return [
    'node_too_old: this Node.js is too old',
    `  found:  ${found} (${process.execPath})`,
    `  needed: ${NEEDED} or newer`,
    '  remedy: install a newer one from https://nodejs.org, or with nvm: `nvm install`; then run the same command again',
  ].join('\n');
}

function parse(version) {
  return version.split('.').map((part) => Number.parseInt(part, 10));
}

function compare(a, b) {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
