import type { Command } from 'commander';

/** What may follow the words of a command. */
export interface CommandWords {
  /** The words so far, such as `sweep submit`; empty for the command itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionWords[];
  /** Values of its first argument, where they are few. */
  readonly values: readonly string[];
}

export interface OptionWords {
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: readonly string[];
}

/** Every command of a program with what may follow it. */
export function wordsOf(command: Command, path = ''): CommandWords[] {
  const commands = command.commands.map((sub) => ({ name: sub.name(), description: sub.description() }));
  const options = command.options.map(({ short, long, description, required, optional, argChoices }) => ({
    flags: [long, short].filter((flag) => typeof flag === 'string'),
    description,
    takesValue: required || optional,
    values: argChoices ?? [],
  }));
  const help = { flags: ['--help', '-h'], description: 'show its options', takesValue: false, values: [] };
  const values = command.registeredArguments[0]?.argChoices ?? [];
  return [
    { path, commands, options: [...options, help], values },
    ...command.commands.flatMap((sub) => wordsOf(sub, path === '' ? sub.name() : `${path} ${sub.name()}`)),
  ];
}
