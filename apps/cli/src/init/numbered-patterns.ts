/** Names of files in fewer words: `a-{000..002}.tar` for those that differ in a number alone and leave none out. */
export function numberedPatterns(names: readonly string[]): string[] {
  const groups = new Map<string, { prefix: string; suffix: string; digits: string[] }>();
  const rest: string[] = [];
  for (const name of names) {
    // The last number of the name.
    const [, prefix, digits, suffix] = /^(.*?)(\d+)(\D*)$/.exec(name) ?? [];
    if (prefix === undefined || digits === undefined || suffix === undefined) rest.push(name);
    else {
      const key = `${prefix}\0${digits.length}\0${suffix}`;
      const group = groups.get(key) ?? { prefix, suffix, digits: [] };
      group.digits.push(digits);
      groups.set(key, group);
    }
  }
  const patterns = [...groups.values()].flatMap(({ prefix, suffix, digits }) => {
    const sorted = [...digits].sort();
    const [first = '', last = ''] = [sorted[0], sorted.at(-1)];
    const whole = Number(last) - Number(first) + 1 === sorted.length;
    if (sorted.length > 1 && whole) return [`${prefix}{${first}..${last}}${suffix}`];
    return sorted.map((number) => `${prefix}${number}${suffix}`);
  });
  return [...patterns, ...rest].sort();
}
