/** Size of a tar block, bytes; headers and data both begin on a block. */
export const TAR_BLOCK = 512;

export interface TarHeader {
  readonly name: string;
  /** `0` file, `5` directory, `L` GNU long name, `x` and `g` PAX records of the next and of all members, and others. */
  readonly type: string;
  readonly bytes: number;
}

/**
 * Parses one 512-byte header of POSIX ustar, PAX or GNU tar (POSIX.1-2017, "pax", ustar interchange format); undefined
 * where the checksum does not match or the size is no number, so for anything that is no header.
 */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  if (octal(block, 148, 8) !== checksum(block)) return undefined;
  const bytes = octal(block, 124, 12);
  if (bytes === undefined || !Number.isSafeInteger(bytes)) return undefined;
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156]!);
  const name = text(block, 0, 100);
  const isUstar = text(block, 257, 6) === 'ustar' && text(block, 263, 2) === '00';
  const prefix = isUstar ? text(block, 345, 155) : '';
  return { name: prefix === '' ? name : `${prefix}/${name}`, type, bytes };
}

export const isZeroBlock = (block: Uint8Array): boolean => block.every((byte) => byte === 0);

/** The records of a PAX header, `length key=value\n` each; undefined where they are malformed. */
export function parsePaxRecords(body: Uint8Array): Map<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(text(body, at, space - at));
    const end = at + length;
    if (!Number.isSafeInteger(length) || end <= space || end > body.length || body[end - 1] !== 0x0a) return undefined;
    const record = new TextDecoder().decode(body.subarray(space + 1, end - 1));
    const equals = record.indexOf('=');
    if (equals < 1) return undefined;
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}

/** A NUL-terminated string of at most `length` bytes. */
export function text(block: Uint8Array, offset: number, length: number): string {
  const field = block.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end === -1 ? field : field.subarray(0, end));
}

/** An octal number, or GNU's base 256 where the first bit is set; an empty field is 0. */
function octal(block: Uint8Array, offset: number, length: number): number | undefined {
  if ((block[offset]! & 0x80) !== 0) {
    // 0xff begins a negative number, which no length is.
    if (block[offset] !== 0x80) return undefined;
    let value = 0;
    for (let i = offset + 1; i < offset + length; i++) value = value * 256 + block[i]!;
    return value;
  }
  const digits = text(block, offset, length).trim();
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function checksum(block: Uint8Array): number {
  // The checksum's own field counts as spaces.
  let sum = 8 * 0x20;
  for (let i = 0; i < TAR_BLOCK; i++) if (i < 148 || i >= 156) sum += block[i]!;
  return sum;
}
