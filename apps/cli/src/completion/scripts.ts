import type { CommandWords } from './words.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** A script by which the shell completes commands, options and those values that are known. */
export function completionScript(shell: Shell, words: readonly CommandWords[]): string {
  return shell === 'fish' ? fishScript(words) : table(shell, words);
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const flagsOf = ({ options }: CommandWords) => options.flatMap(({ flags }) => flags);

/** Bash and zsh share the tables: what follows the words of a command, and the values of its options. */
function table(shell: 'bash' | 'zsh', words: readonly CommandWords[]): string {
  const entry = (path: string, text: string) => {
    const key = quoted(`clipyard ${path}`.trim());
    // Zsh takes keys with spaces as a list of keys and values only.
    return shell === 'bash' ? `  [${key}]=${quoted(text)}` : `  ${key} ${quoted(text)}`;
  };
  const next = words.map(({ path, commands, values }) => {
    const names = [...commands.map(({ name }) => name), ...values];
    return entry(path, names.join(' '));
  });
  const options = words.map((each) => entry(each.path, flagsOf(each).join(' ')));
  const values = words.flatMap(({ path, options: each }) =>
    each
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ flags, values: known }) => flags.map((flag) => entry(`${path} ${flag}`.trim(), known.join(' ')))),
  );
  const tables = [
    `_clipyard_next=(\n${next.join('\n')}\n)`,
    `_clipyard_options=(\n${options.join('\n')}\n)`,
    `_clipyard_values=(\n${values.join('\n')}\n)`,
  ].join('\n');
  return shell === 'bash'
    ? `declare -gA _clipyard_next _clipyard_options _clipyard_values\n${tables}\n${BASH}`
    : `#compdef clipyard\ntypeset -gA _clipyard_next _clipyard_options _clipyard_values\n${tables}\n${ZSH}`;
}

const BASH = `_clipyard() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} path=clipyard word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ -n $word && -v _clipyard_next["$path $word"] ]] && path+=" $word"
  done
  COMPREPLY=()
  if [[ $previous == -* && -v _clipyard_values["$path $previous"] ]]; then
    local values=\${_clipyard_values["$path $previous"]}
    if [[ -n $values ]]; then mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
    else mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
  elif [[ $current == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "\${_clipyard_options[$path]}" -- "$current")
  elif [[ -n \${_clipyard_next[$path]} ]]; then mapfile -t COMPREPLY < <(compgen -W "\${_clipyard_next[$path]}" -- "$current")
  else mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
}
complete -o filenames -F _clipyard clipyard
`;

const ZSH = `_clipyard() {
  local current=\${words[CURRENT]} previous=\${words[CURRENT-1]} where=clipyard word
  for word in \${words[2,CURRENT-1]}; do
    (( \${+_clipyard_next[$where $word]} )) && where+=" $word"
  done
  if [[ $previous == -* ]] && (( \${+_clipyard_values[$where $previous]} )); then
    if [[ -n \${_clipyard_values[$where $previous]} ]]; then compadd -- \${=_clipyard_values[$where $previous]}
    else _files; fi
  elif [[ $current == -* ]]; then compadd -- \${=_clipyard_options[$where]}
  elif [[ -n \${_clipyard_next[$where]} ]]; then compadd -- \${=_clipyard_next[$where]}
  else _files; fi
}
if [[ \${funcstack[1]} == _clipyard ]]; then _clipyard "$@"; else compdef _clipyard clipyard; fi
`;

function fishScript(words: readonly CommandWords[]): string {
  const lines = words.flatMap(({ path, commands, options, values }) => {
    const parts = path === '' ? [] : path.split(' ');
    const names = commands.map(({ name }) => name);
    const inside = parts.map((part) => `__fish_seen_subcommand_from ${part}`);
    const outside = names.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names.join(' ')}`];
    const condition = [...inside, ...outside].join('; and ');
    const when = `complete -c clipyard${condition === '' ? '' : ` -n ${quoted(condition)}`}`;
    return [
      ...commands.map(({ name, description }) => `${when} -f -a ${name} -d ${quoted(description)}`),
      ...(values.length === 0 ? [] : [`${when} -f -a ${quoted(values.join(' '))}`]),
      ...options.map(({ flags, description, takesValue, values: known }) => {
        const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
        const value = takesValue ? (known.length > 0 ? ` -x -a ${quoted(known.join(' '))}` : ' -r') : '';
        return `${when} ${named.join(' ')}${value} -d ${quoted(description)}`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}
