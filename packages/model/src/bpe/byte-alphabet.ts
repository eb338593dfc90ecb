/**
 * How byte-pair vocabularies write bytes down: each of the 256 as one visible character. Latin-1's visible ones stand for
 * themselves, the others for U+0100 and so on. A byte's place in this order is its token id (GPT-2's and CLIP's order).
 */
function visibleFirst(): number[] {
  const isVisible = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(isVisible), ...bytes.filter((byte) => !isVisible(byte))];
}

const ORDER: readonly number[] = visibleFirst();
const VISIBLE = 188;

/** The characters of the alphabet, by token id. */
export const BYTE_CHARACTERS: readonly string[] = ORDER.map((byte, id) =>
  String.fromCharCode(id < VISIBLE ? byte : 0x100 + id - VISIBLE),
);

/** The token id of each byte. */
export const BYTE_IDS: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) => ORDER.indexOf(byte));

/** The byte of each of the first 256 token ids. */
export const ID_BYTES: Readonly<Uint8Array> = Uint8Array.from(ORDER);
