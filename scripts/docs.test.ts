import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseRunSpec, parseSweepSpec } from '@clipyard/contracts';
import { planTrials } from '@clipyard/control';
import { describe, expect, test } from 'vitest';
import { limitsPage, renderReference } from './docs.mjs';
import { constantLimits } from './limit-constants.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('generated reference pages', () => {
  test.each(Object.entries(renderReference()))(
    '%s says what the contracts say (else: node scripts/docs.mjs)',
    (path, text) => {
      expect(readFileSync(join(root, path), 'utf8')).toBe(text);
    },
  );

  test('a limit without a comment is refused', () => {
    const source = 'export const LIMITS = {\n  /** Known, bytes. */\n  aBytes: 2048,\n  b: 1,\n} as const;';
    expect(limitsPage(source, { aBytes: 2048 })).toContain('| `aBytes` | 2 KiB | Known, bytes. |');
    expect(() => limitsPage(source, { aBytes: 2048, b: 1 })).toThrow('b has no comment');
  });

  test('limits that stand in one file are found with value and comment, and refused without a comment', () => {
    const tree = mkdtempSync(join(tmpdir(), 'clipyard-limits-'));
    const write = (text: string) => {
      mkdirSync(join(tree, 'packages/a/src'), { recursive: true });
      mkdirSync(join(tree, 'apps'), { recursive: true });
      writeFileSync(join(tree, 'packages/a/src/b.ts'), text);
    };
    try {
      write(
        "/** Most of it,\n * bytes. */\nexport const MAX_B_BYTES = 3 << 20;\nconst POLL_MS = 5;\nconst MAX = 'x';\n",
      );
      expect(constantLimits(tree)).toEqual([
        { file: 'packages/a/src/b.ts', name: 'MAX_B_BYTES', value: 3 * 2 ** 20, meaning: 'Most of it, bytes.' },
      ]);
      write('const X_LIMIT_MS = 10 * 60_000;\n');
      expect(() => constantLimits(tree)).toThrow('X_LIMIT_MS has no comment');
    } finally {
      rmSync(tree, { recursive: true });
    }
  });
});

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', ...markdownFiles('docs'), ...markdownFiles('examples')];

describe('examples', () => {
  const { parse } = createRequire(join(root, 'apps/cli/package.json'))('yaml') as { parse(text: string): unknown };
  const specs = [...pages, ...specFiles('examples')].flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const blocks = file.endsWith('.md')
      ? [...text.matchAll(/```ya?ml\n([\s\S]*?)```/g)].map(([, body]) => body ?? '')
      : [text];
    return blocks
      .filter((body) => /^version:/m.test(body))
      .map((body, index): [string, string] => [`${file} #${index + 1}`, body]);
  });

  const isSweep = (body: string) => /^parameters:/m.test(body);

  test.each(specs.filter(([, body]) => !isSweep(body)))('the run spec of %s is valid', (_, body) => {
    expect(parseRunSpec(parse(body)).version).toBe(1);
  });

  test.each(specs.filter(([, body]) => isSweep(body)))('the sweep spec of %s is valid, trial by trial', (_, body) => {
    const spec = parse(body) as { base: unknown };
    const base = typeof spec.base === 'string' ? parse(read(`examples/${spec.base}`)) : spec.base;
    expect(planTrials(parseSweepSpec({ ...spec, base })).length).toBeGreaterThan(1);
  });
});

describe('reference pages written by hand', () => {
  const all = (text: string, pattern: RegExp): string[] =>
    [...new Set([...text.matchAll(pattern)].map((match) => match.slice(1).join(' ')))].sort();
  const firstCells = (page: string, pattern: RegExp): string[] => all(read(page), pattern);

  test('environment.md lists exactly the variables that the apps read', () => {
    const variables = all(
      filesIn('apps', /^config\.ts$/)
        .map(read)
        .join('\n'),
      /^\s+([A-Z][A-Z_]+): /gm,
    );
    expect(variables.length).toBeGreaterThan(0);
    expect(firstCells('docs/reference/environment.md', /^\| `([A-Z_]+)`/gm)).toEqual(variables);
  });

  test('cli.md lists exactly the commands of the CLI', () => {
    const source = filesIn('apps/cli/src', /program\.ts$/)
      .map(read)
      .join('\n');
    const groups = all(source, /\w+Commands\(program\s*\.command\('(\w+)'\)/g);
    const commands = all(source, /\bprogram\s*\.command\('(\w+)'\)/g).filter((name) => !groups.includes(name));
    const nested = groups.flatMap((group) =>
      all(source, new RegExp(`\\b${group}\\s*\\.command\\('([\\w-]+)'\\)`, 'g')).map((name) => `${group} ${name}`),
    );
    expect(commands.length).toBeGreaterThan(0);
    const listed = firstCells('docs/reference/cli.md', /^\| `([a-z]+(?: [a-z-]+)?)[^`]*`/gm);
    expect(listed).toEqual([...commands, ...nested].sort());
  });
});

describe('links', () => {
  test.each(pages)('every link of %s leads somewhere', (page) => {
    const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '');
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target ?? '')
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !leadsSomewhere(page, target));
    expect(broken).toEqual([]);
  });

  test.each(pages)('%s names only files and npm scripts that exist', (page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const paths = [...text.matchAll(/`((?:packages|apps|scripts|docs|examples|prisma)\/[\w./-]+\.\w+)`/g)].map(
      ([, path]) => path ?? '',
    );
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const scripts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts as Record<string, string>;
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name ?? '');
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  function leadsSomewhere(page: string, target: string): boolean {
    const [path = '', fragment] = target.split('#');
    const file = path === '' ? join(root, page) : resolve(root, dirname(page), path);
    if (!existsSync(file)) return false;
    if (fragment === undefined || !file.endsWith('.md')) return true;
    const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) => slug(title ?? ''));
    return headings.includes(fragment);
  }
});

function slug(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

function markdownFiles(folder: string): string[] {
  return filesIn(folder, /\.md$/);
}

function specFiles(folder: string): string[] {
  return filesIn(folder, /\.ya?ml$/);
}

function filesIn(folder: string, name: RegExp): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name) && !/node_modules|dist\b/.test(entry.parentPath))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}
