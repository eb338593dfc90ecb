import assert from 'node:assert';
import { Readable } from 'node:stream';
import { type Cancellable, ClipyardError, fieldError } from '@clipyard/contracts';
import { CsvError, parse } from 'csv-parse';
import { captionOf } from './caption.js';
import { type DataFile, type DataFiles, pieces } from './data-files.js';
import type { CaptionOptions, ClassSet, Dataset, ReadOptions, Sample } from './dataset.js';
import { undecodable } from './image/decode.js';
import { PictureSource, type PictureSourceOptions } from './image/picture-source.js';
import { LabelReader, namesOf } from './label-reader.js';

/** Longest row of a table, characters. */
const MAX_ROW_CHARS = 1 << 20;
/** Largest picture file that is read, bytes. */
const MAX_IMAGE_BYTES = 256 << 20;

export interface CsvOptions extends PictureSourceOptions {
  /** Owned by the data set from here on. */
  readonly files: DataFiles;
  readonly tables: readonly DataFile[];
  readonly separator: string;
  readonly imageColumn: string;
  readonly captionColumn: string;
  readonly labelColumn?: string;
  readonly classes?: readonly string[];
  /** Where the fields of the run spec above lie, such as `data.train`. */
  readonly field: string;
}

interface Row {
  readonly table: number;
  readonly line: number;
  readonly image: string;
  readonly caption: string;
  readonly label: string;
}

/** Tables of picture paths and captions, as open_clip reads them: a header row, then a sample a row. */
export class CsvDataset implements Dataset {
  readonly size: number;
  readonly imageSize: number;
  readonly classes?: ClassSet;
  readonly #labels: LabelReader;
  readonly #options: CsvOptions;
  readonly #rows: readonly Row[];
  readonly #pictures: PictureSource;

  private constructor(options: CsvOptions, rows: readonly Row[]) {
    this.#options = options;
    this.#rows = rows;
    this.size = rows.length;
    this.#pictures = new PictureSource(options);
    this.imageSize = options.imageSize;
    const names = options.classes ?? namesOf(rows.map(({ label }) => label));
    this.#labels = new LabelReader(names);
    if (names !== undefined) this.classes = { names };
  }

  /** Reads the tables. Throws `data_table_invalid` for a missing column or a malformed row. */
  static async open(options: CsvOptions, { signal }: Cancellable = {}): Promise<CsvDataset> {
    const rows: Row[] = [];
    for (const table of options.tables.keys())
      for await (const row of readTable(options, table, signal)) rows.push(row);
    return new CsvDataset(options, rows);
  }

  async read(index: number, options: ReadOptions = {}): Promise<Sample> {
    options.signal?.throwIfAborted();
    const row = this.#row(index);
    const name = this.#name(row);
    const caption = captionOf(row.caption, name);
    const pixels = await this.#pictures.read(index, name, () => this.#bytes(row, name, options), options);
    const label = options.label === true ? this.#labels.parse(row.label, name) : undefined;
    return { pixels, caption, ...(label === undefined ? {} : { label }) };
  }

  async *captions(options: CaptionOptions = {}): AsyncIterable<string> {
    for (const row of this.#rows.slice(0, options.limit ?? this.size)) {
      options.signal?.throwIfAborted();
      if (row.caption.trim() !== '') yield captionOf(row.caption, this.#name(row));
    }
  }

  close(): Promise<void> {
    return this.#options.files.close();
  }

  #row(index: number): Row {
    assert(Number.isSafeInteger(index) && index >= 0 && index < this.size, 'the index lies in [0, size)');
    return this.#rows[index]!;
  }

  #name(row: Row): string {
    return `\`${row.image}\` (line ${row.line} of ${this.#options.tables[row.table]!.url})`;
  }

  /** The picture's file; one that is missing or out of bounds is a bad sample, not the end of the run. */
  async #bytes(row: Row, name: string, options: Cancellable): Promise<Buffer> {
    const { files, tables } = this.#options;
    const place = files.beside(tables[row.table]!.place, row.image);
    if (place === undefined)
      throw undecodable(name, 'its path leads out of the data directory and of what may be read in S3');
    const found = await files.readWhole(place, MAX_IMAGE_BYTES, options);
    if ('content' in found) return found.content;
    throw undecodable(name, found.problem, found.cause);
  }
}

async function* readTable(options: CsvOptions, table: number, signal: AbortSignal | undefined): AsyncIterable<Row> {
  const { separator, imageColumn, captionColumn, labelColumn, field } = options;
  const file = options.tables[table]!;
  const { url, field: urlField } = file;
  let columns: { image: number; caption: number; label: number } | undefined;
  const parser = Readable.from(pieces(options.files, file, { signal }), { objectMode: false }).pipe(
    parse({
      delimiter: separator,
      bom: true,
      info: true,
      skip_empty_lines: true,
      // As pandas does: a quote within a field is a character, and short rows are filled up.
      relax_quotes: true,
      relax_column_count_less: true,
      max_record_size: MAX_ROW_CHARS,
    }),
  );
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      if (columns === undefined) {
        const find = (name: string, key: string) => findColumn(record, name, `${field}.${key}`, url, separator);
        columns = {
          image: find(imageColumn, 'imageColumn'),
          caption: find(captionColumn, 'captionColumn'),
          label: labelColumn === undefined ? -1 : find(labelColumn, 'labelColumn'),
        };
      } else {
        const value = (column: number): string => record[column] ?? '';
        const { image, caption, label } = columns;
        yield { table, line: info.lines, image: value(image), caption: value(caption), label: value(label) };
      }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new ClipyardError('data_table_invalid', `${urlField}: ${url} is malformed: ${error.message}. ${ROW_REMEDY}`, {
      cause: error,
      fields: [{ path: urlField, message: `is malformed: ${error.message}`, value: url, remedy: ROW_REMEDY }],
    });
  }
  if (columns === undefined) {
    throw fieldError('data_table_invalid', {
      path: urlField,
      message: `\`${url}\` is empty`,
      value: url,
      remedy: `Begin it with a header row that names the columns \`${imageColumn}\` and \`${captionColumn}\`.`,
    });
  }
}

const ROW_REMEDY = 'Correct the row, or set `separator` to the character that parts the columns.';

function findColumn(header: readonly string[], name: string, path: string, url: string, separator: string): number {
  const index = header.indexOf(name);
  if (index !== -1) return index;
  throw fieldError('data_table_invalid', {
    path,
    message: `${url} has no column \`${name}\`, only ${header.map((column) => `\`${column}\``).join(', ')}`,
    value: name,
    remedy:
      header.length === 1 ? `Check the separator, which is ${JSON.stringify(separator)}.` : 'Name one of its columns.',
  });
}
