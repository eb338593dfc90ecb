import { readFile } from 'node:fs/promises';
import { fieldError } from '@clipyard/contracts';
import { parse, parseDocument } from 'yaml';

/** Reads a run spec from a YAML or JSON file (JSON is YAML). Throws `spec_invalid` naming the file and the line. */
export async function readSpecFile(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EISDIR' && code !== 'EACCES') throw error;
    const message =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'is a directory' : 'may not be read';
    throw fieldError('spec_invalid', {
      path: 'file',
      message,
      value: file,
      remedy: 'Give the path of a run spec, such as examples/shapes.yaml.',
    });
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) {
    const message = `is not valid YAML or JSON: ${problem.message.split('\n', 1)[0]!.replace(/:$/, '')}`;
    throw fieldError('spec_invalid', { path: 'file', message, value: file, remedy: 'Correct the syntax there.' });
  }
  return document.toJS();
}

/** Applies `path=value` to a copy of the spec; the value is read as YAML, so `3`, `true` and `[a, b]` are what they look like. */
export function applySettings(spec: unknown, settings: readonly string[]): unknown {
  const result: unknown = structuredClone(spec);
  for (const setting of settings) {
    const [path, value] = parseSetting(setting);
    const keys = path.split(/\.|\[(\d+)\]/).filter((key) => key !== undefined && key !== '');
    setAt(result, keys, value, setting);
  }
  return result;
}

/** The path and the value of `path=value`. Throws `spec_invalid`. */
export function parseSetting(setting: string): [string, unknown] {
  const equals = setting.indexOf('=');
  const path = setting.slice(0, Math.max(0, equals));
  if (/[^.]/.test(path)) return [path, parse(setting.slice(equals + 1))];
  throw fieldError('spec_invalid', {
    path: '--set',
    message: 'is not path=value',
    value: setting,
    remedy: 'Write it as --set batch.global=256.',
  });
}

function setAt(root: unknown, keys: readonly string[], value: unknown, setting: string): void {
  let at = root;
  keys.forEach((key, depth) => {
    if (typeof at !== 'object' || at === null) {
      const path = keys.slice(0, depth).join('.') || '(root)';
      throw fieldError('spec_invalid', {
        path: '--set',
        message: `${path} of the spec has no fields to set`,
        value: setting,
        remedy: 'Correct the path.',
      });
    }
    const container = at as Record<string, unknown>;
    if (depth === keys.length - 1) container[key] = value;
    else at = container[key] ??= {};
  });
}
