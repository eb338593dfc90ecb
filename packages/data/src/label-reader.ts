import { fieldError } from '@clipyard/contracts';

const isNumber = (text: string): boolean => /^\d{1,9}$/.test(text);

/** Class labels as files and tables hold them: a whole number from 0 on, or one of the names. */
export class LabelReader {
  readonly #names: readonly string[] | undefined;
  readonly #byName: ReadonlyMap<string, number>;

  constructor(names?: readonly string[]) {
    this.#names = names;
    this.#byName = new Map(names?.map((name, i) => [name, i]));
  }

  /** The class; undefined for an empty text. `sample` is for errors. Throws `data_label_invalid`. */
  parse(text: string, sample: string): number | undefined {
    const label = text.trim();
    if (label === '') return undefined;
    const index = this.#byName.get(label) ?? (isNumber(label) ? Number(label) : Number.NaN);
    if (index < (this.#names?.length ?? Number.POSITIVE_INFINITY)) return index;
    const shown = label.length > 60 ? `${label.slice(0, 60)}…` : label;
    throw fieldError('data_label_invalid', {
      path: 'label',
      message:
        this.#names === undefined
          ? `of ${sample} is a name, and the data source has no \`classes\``
          : `of ${sample} is none of the ${this.#names.length} classes`,
      value: shown,
      remedy: 'List the names of all classes in `classes` of the data source, or write whole numbers from 0 on.',
    });
  }
}

/** The different names among labels, sorted; undefined where all are numbers or empty. */
export function namesOf(labels: readonly string[]): string[] | undefined {
  const distinct = [...new Set(labels.map((label) => label.trim()))].filter((label) => label !== '');
  return distinct.every(isNumber) ? undefined : distinct.sort();
}
