import type { z } from 'zod';
import type { FieldProblem } from './errors.js';

/** Zod's issues as our field problems; `hint` is the remedy where the issue itself names none. */
export function fieldProblems(
  error: z.ZodError,
  input: unknown,
  hint = 'Correct this value; the run spec reference documents each field.',
): FieldProblem[] {
  // A key that does not belong is told as a field of its own, so that its value is shown and not all around it.
  const issues = error.issues.flatMap<z.core.$ZodIssue>((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          ...issue,
          keys: [key],
          path: [...issue.path, key],
          message: issue.message.startsWith('Unrecognized key') ? 'is not a known field' : issue.message,
        }))
      : [issue],
  );
  return issues.map((issue) => {
    const path = issue.path.reduce<string>(
      (text, key) =>
        typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`,
      '',
    );
    const value = issue.path.reduce<unknown>(
      (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
      input,
    );
    const remedy =
      issue.code === 'unrecognized_keys'
        ? `Remove ${issue.keys.map((key) => `\`${key}\``).join(', ')}, or correct the spelling.`
        : issue.code === 'invalid_value'
          ? `Use one of: ${issue.values.map(String).join(', ')}.`
          : value === undefined
            ? 'Add this field.'
            : hint;
    return { path: path === '' ? '(root)' : path, message: issue.message, value, remedy };
  });
}
