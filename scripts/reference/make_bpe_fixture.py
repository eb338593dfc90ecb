"""
Captions in many languages, and worse things, with the token ids that open_clip's SimpleTokenizer gives them, for the
tests of packages/model/src/bpe. The multilingual ones are names of emoji in Unicode's CLDR, read from its npm package:

    npm pack cldr-annotations-full@48.2.0 && tar xzf cldr-annotations-full-48.2.0.tgz
    python make_bpe_fixture.py package [OUTPUT_DIRECTORY] [SIZE_FACTOR]

A factor above 1 makes a longer list of the same kinds, for a check beyond what is committed.
"""

import base64
import hashlib
import html
import html.entities
import json
import os
import random
import re
import struct
import sys
import unicodedata

import ftfy
import regex
from bpe_captions import CURATED, LONG
from fixture_json import versions
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from open_clip.version import __version__ as open_clip_version

CONTEXT_LENGTH = 77
CHARMAPS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253",
            "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"]
ENGLISH = ["a photo of", "two", "the old", "close-up:", "don't touch", "we've seen", "SALE!", "3 x 4", "I'm", "black & white"]


def read_names(package: str) -> dict[str, list[tuple[str, str, str]]]:
    """(emoji, name, keywords) by language."""
    names = {}
    folder = os.path.join(package, "annotations")
    for language in sorted(os.listdir(folder)):
        with open(os.path.join(folder, language, "annotations.json"), encoding="utf-8") as file:
            annotations = json.load(file)["annotations"].get("annotations", {})
        rows = [(emoji, entry["tts"][0], ", ".join(entry.get("default", []))) for emoji, entry in annotations.items()
                if entry.get("tts")]
        if rows:
            names[language] = rows
    return names


def multilingual(names, random, factor) -> list[str]:
    captions = []
    for rows in names.values():
        for emoji, name, keywords in random.sample(rows, min(len(rows), 9 * factor)):
            kind = random.randrange(12)
            captions.append(f"{name}: {keywords}" if kind == 0 else f"{emoji} {name}" if kind == 1 else
                            name.upper() if kind == 2 else name.title() if kind == 3 else name)
    return captions


def english(names, random, factor) -> list[str]:
    rows = names["en"]
    return [f"{random.choice(ENGLISH)} {random.choice(rows)[1]}{random.choice(['', '.', '!', ', 2019', ' (c) #4k', ' @home'])}"
            for _ in range(250 * factor)]


def mojibake(names, random, factor) -> list[str]:
    """UTF-8 read as something else, once or twice, as a whole or in part: what ftfy is for."""
    captions = []
    languages = list(names)
    while len(captions) < 500 * factor:
        _, name, _ = random.choice(names[random.choice(languages)])
        text = random.choice(["{}", "{} {}", "“{}” … it’s", "l’été: {}", "{}: 5 € — naïve", "{} ½"]).replace("{}", name)
        encoding = random.choice(CHARMAPS)
        garbled = text.encode().decode(encoding, errors=random.choice(["ignore", "replace", "ignore"]))
        if random.random() < 0.2:
            garbled = garbled.encode().decode(random.choice(CHARMAPS[:2]), errors="ignore")
        if random.random() < 0.2:
            garbled = garbled.replace("\xa0", " ")
        if random.random() < 0.2:
            garbled = f"{name} {garbled}"
        captions.append(garbled[:60])
    return captions


def entities(names, random, factor) -> list[str]:
    known = list(html.entities.html5)
    captions = []
    for _ in range(250 * factor):
        parts = []
        for _ in range(random.randint(1, 4)):
            name = random.choice(known)
            kind = random.randrange(8)
            parts.append([f"&{name}", f"&{name.rstrip(';')}", f"&amp;{name}", f"&{name.upper()}", f"&{name.rstrip(';')}x;",
                          f"&#{random.choice([0, 9, 13, 28, 38, 60, 128, 133, 150, 173, 8217, 55357, 65279, 65534, 128512, 1114112, 99999999999])}{random.choice(['', ';'])}",
                          f"&#x{random.choice(['41', '1F600', 'e9', '92', '85', 'D83D', 'FEFF', 'b', '7f', '110000'])}{random.choice(['', ';'])}",
                          f"&#{random.choice('Xx')}{random.randrange(0x3100):x};"][kind])
        captions.append(f"{random.choice(['', 'a ', '<b>', 'x<y ', 'rock '])}{random.choice(['', ' ', 'and']).join(parts)}{random.choice(['', ' end', ';'])}")
    return captions


RANGES = [(0x20, 0x7F), (0xA0, 0x250), (0x80, 0xA0), (0x250, 0x370), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
          (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2C00), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4),
          (0xD800, 0xE000), (0xE000, 0xE010), (0xFB00, 0xFB50), (0xFE00, 0x10000), (0x1F300, 0x1FB00), (0x0, 0x20), (0x1D400, 0x1D800)]


def noise(_names, random, factor) -> list[str]:
    """Characters of a few ranges each, combining marks and lone surrogates among them."""
    captions = []
    for _ in range(400 * factor):
        ranges = random.sample(RANGES, random.randint(1, 3)) + [RANGES[0]]
        letters = [chr(random.randrange(*random.choice(ranges))) for _ in range(random.randint(1, 14))]
        # What Unicode has since assigned is a letter to one release of a library, and none to another.
        text = "".join(letter for letter in letters if unicodedata.category(letter) != "Cn")
        # Two halves of a pair that happen to meet are one character to JSON and to JavaScript.
        captions.append(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))
    return captions


def packed_row(tokenizer, caption: str) -> str:
    """The ids up to end-of-text, little-endian 16 bit, base64."""
    row = tokenizer([caption])[0].tolist()
    end = row.index(tokenizer.eot_token_id)
    # A caption may itself say <end_of_text>.
    while tokenizer.eot_token_id in row[end + 1:]:
        end = row.index(tokenizer.eot_token_id, end + 1)
    assert not any(row[end + 1:])
    return base64.b64encode(struct.pack(f"<{end + 1}H", *row[:end + 1])).decode().rstrip("=")


def line(value) -> str:
    """JSON that keeps letters as they are, and escapes what an editor or UTF-8 would not keep."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\x7f-\xa0\xad\u0300-\u036f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufe00-\ufe0f\ufeff\ufff0-\uffff]",
                  lambda match: f"\\u{ord(match[0]):04x}", text)


def table_hash() -> str:
    """Of what html.unescape makes of each name that HTML 5 knows, in order."""
    rows = "".join(f"{name}\t{value}\n" for name, value in sorted(html.entities.html5.items()))
    return hashlib.sha256(rows.encode()).hexdigest()


def merges_hash(tokenizer) -> str:
    rows = "".join(f"{a} {b}\n" for a, b in tokenizer.bpe_ranks)
    return hashlib.sha256(rows.encode()).hexdigest()


def main() -> None:
    package = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "../../packages/model/src/bpe/fixtures")
    factor = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    names = read_names(package)
    with open(os.path.join(package, "package.json"), encoding="utf-8") as file:
        cldr = json.load(file)["version"]
    tokenizer = SimpleTokenizer(default_bpe(), context_length=CONTEXT_LENGTH)
    groups = {"curated": CURATED, "long": LONG}
    for seed, make in enumerate([multilingual, english, mojibake, entities, noise]):
        groups[make.__name__] = make(names, random.Random(seed), factor)
    head = {
        "madeBy": "scripts/reference/make_bpe_fixture.py",
        "versions": versions(open_clip=open_clip_version, ftfy=ftfy.__version__, regex=regex.__version__, cldr=cldr),
        "about": "Captions with their ids up to end-of-text, little-endian 16 bit in base64. Names of emoji are of Unicode's CLDR (Unicode License V3).",
        "contextLength": CONTEXT_LENGTH, "vocabSize": tokenizer.vocab_size,
        "mergesSha256": merges_hash(tokenizer), "entitiesSha256": table_hash(),
    }
    os.makedirs(output, exist_ok=True)
    path = os.path.join(output, "open-clip-tokens.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(head, indent=1)[:-2] + ',\n "groups": {\n')
        file.write(",\n".join(
            f'"{name}": [\n' + ",\n".join(line([caption, packed_row(tokenizer, caption)]) for caption in dict.fromkeys(captions)) + "\n]"
            for name, captions in groups.items()))
        file.write("\n}}\n")
    print(f"{path}: {os.path.getsize(path)} bytes; {({name: len(dict.fromkeys(captions)) for name, captions in groups.items()})}", file=sys.stderr)


if __name__ == "__main__":
    main()
