/** Orders releases such as 2.21.0 and 12.5.3.2; missing parts count as 0. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A package that a wheel wants, and which releases of it. */
export interface Requirement {
  readonly packageName: string;
  readonly accepts: (version: string) => boolean;
}

/** The requirements of one extra in the METADATA of a wheel: lines such as `Requires-Dist: a<13.0,>=12.5; extra == "x"`. */
export function requirementsOf(metadata: string, extra: string): Requirement[] {
  return metadata.split(/\r?\n/).flatMap((line): Requirement[] => {
    const match = /^Requires-Dist: ([\w.-]+)\s*([^;]*);\s*extra == "([\w-]+)"\s*$/.exec(line);
    if (match?.[3] !== extra) return [];
    const bounds = [...match[2]!.matchAll(/(<=|>=|==|<|>)\s*([\d.]+)/g)];
    const accepts = (version: string): boolean =>
      bounds.every(([, relation, bound]) => holds(relation!, compareVersions(version, bound!)));
    return [{ packageName: match[1]!, accepts }];
  });
}

function holds(relation: string, order: number): boolean {
  if (relation === '<') return order < 0;
  if (relation === '<=') return order <= 0;
  if (relation === '>') return order > 0;
  return relation === '>=' ? order >= 0 : order === 0;
}
