"""Captions chosen by hand, for make_bpe_fixture.py: each is there for something that a tokenizer may get wrong."""

CURATED = [
    # Nothing, and what is nothing after the clean-up.
    "", " ", "\n", " \t\r\n\x0b\x0c ", "\x00", "\x1f\x7f", "\ufeff", "\u200b", "\u3000", "&nbsp;", "&#160;", "\x85", "\xa0",
    # White space of every kind between words.
    "a  b", "a\tb", "a\nb", "a\r\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb", "a\x85b", "a\xa0b", "a\u1680b", "a\u180eb",
    "a\u2003b", "a\u2028b", "a\u2029b", "a\u202fb", "a\u205fb", "a\u3000b", "a\ufeffb", "a\u200bb", "a\u200db", "a\u2060b", "\ufeffcat",
    # Case.
    "A CAT", "İstanbul", "ISPARTA ıspanak", "STRASSE Straße STRAẞE", "ΟΔΥΣΣΕΥΣ", "Σ", "ΑΣ ΣΑΣ.", "ǅ Ǆ ǆ ĳ Ĳ", "ﬁne ﬂag ﬃ ﬀ ﬆ ſt", "K Å Ω",
    "ТЕСТ ЁЖ", "ԱԲԳ", "ႠႡ", "Ა", "Ꭰ ꭰ", "𐐀𐐨", "ꙀꙂ", "Ⅷ ⅷ Ⓐ ⓐ", "Ｆｕｌｌ　Ｗｉｄｔｈ １２３！", "ﾊﾝｶｸ ｶﾞｷﾞ", "ﾡ",
    # Contractions, and what looks like them.
    "it's", "IT'S", "don't we've they're I'm he'll she'd", "'s", "''s", "'S'T'RE", "o'clock", "rock 'n' roll", "it’s", "it‘s ‛s ʼs",
    "'ſ", "l'été", "d'or 'd 'dd", "'ll'", "x'vey", "\"quoted\" “curly” „low‟ «angle»", "`tick` ´acute´", "'", "''", "'''s",
    # Digits and numbers are single.
    "2024", "3.14", "1,000,000", "10x10", "½ ⅓ ²³ ① ⑳ ㊿", "٠١٢ ०१२ 〇一二 Ⅳ", "𝟙𝟚 𝟛", "1st 2nd", "a1b2", "v2.0-rc1",
    # Marks.
    "!!!", "...", "…", "?!", "a-b–c—d―e", "#tag @user http://a.b/c?d=e&f=g", "<b>bold</b>", "100% €5 £6 ¥7 ₹8 ₿9", "C++ C#", "a/b\\c|d",
    "(╯°□°)╯︵ ┻━┻", "¯\\_(ツ)_/¯", "ಠ_ಠ", "ʕ•ᴥ•ʔ", "★☆♥", "→←↑↓", "™®©℠", "° ′ ″", "×÷±≠≈", "───", "▀▄█", "_under_score_", "~^*", "{[()]}",
    # Emoji: joined, with skin tones, flags, keycaps, tags, selectors.
    "😀", "😀😀😀", "👩‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "1️⃣ #️⃣", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "☺ ☺️ ☺︎", "❤️‍🔥", "🧑🏿‍💻", "cat😺dog", "\ud83d", "\ude00 x", "a\ud83db", "\ude00\ud83d",
    # Accents, composed and not.
    "café", "cafe\u0301", "A\u030a", "e\u0301\u0323", "n\u0303", "Å Å", "ñandú", "Żółć", "Tiếng Việt", "Ti\u00ea\u0301ng Vi\u00ea\u0323t", "ä ö ü", "a\u0308\u0301",
    "g\u0303", "ZͫA̸͎L̷͖G̵͎O̶", "\u0301", "\u0301a", "한국어", "\u1112\u1161\u11ab", "が\u3099 か\u3099", "\u0958 क\u093c", "ﷺ", "Ǻ ǻ",
    # Scripts.
    "猫の写真", "一张猫的照片", "貓的照片", "고양이 사진", "фото кота", "صورة قطة", "تصویر گربه", "תמונה של חתול", "บิลลี่แมว", "बिल्ली की तस्वीर", "பூனை", "ქართული", "Հայերեն",
    "ភាសាខ្មែរ", "မြန်မာ", "ᏣᎳᎩ", "ⴰⵎⴰⵣⵉⵖ", "ᠮᠣᠩᠭᠣᠯ", "ܣܘܪܝܝܐ", "ދިވެހި", "አማርኛ", "𐎀𐎁", "𠮷野家", "\u202eright-to-left\u202c", "\u200fא\u200e",
    # Broken on the way: what ftfy mends, and what it must leave.
    "âœ” No problems", "The Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t have eyebrows.", "lâ€™humanitÃ©", "schÃ¶n", "sÃ³", "voilÃ le travail", "Ã la mode", "fÃ cil",
    "PÃ©rez", "Ã©tÃ©", "naÃ¯ve cafÃ©", "â€œquotedâ€\x9d", "â€”", "â‚¬5", "Â£6", "Â°C", "Â½", "100 Âµm", "ðŸ˜€ fun", "ð\x9f\x98\x80", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
    "РїСЂРёРІРµС‚", "Ã¤Ã¶Ã¼ÃŸ", "├⌐t├⌐", "√©t√©", "åœ–ç‰‡", "ä¸­æ–‡", "ã\x81\x82", "�", "caf�", "Ã�", "â€�", "ï»¿BOM", "Ã\xadndice", "RÃ\x8dO", "\x93smart\x94", "it\x92s",
    "HUHLICHÂ \xa0x", "IL Y MARQUÉ…", "MARQUÉ™", "ESTÁ", "Õ Ø Ù", "»«", "Ôôé", "CÔTE D’AZUR", "AÑOS", "À LA", "â", "Ã", "Â", "Â Â", "ÐÐ", "JOSÉ®", "CLÁSSICO’",
    # Entities, once and twice, well-formed and not.
    "&amp;", "&amp;amp;", "&amp;amp;amp;", "&amp;amp;amp;amp;", "&lt;b&gt;", "&quot;x&quot;", "&eacute;", "&EACUTE;", "P&EACUTE;REZ", "&Eacute", "&eacute x", "AT&T", "&T;",
    "rock & roll", "fish&chips", "&not", "&notit;", "&notin;", "&ampx", "&copy2024", "&copy;2024", "&#39;", "&#039;s", "it&#x27;s", "it&rsquo;s", "&hellip;", "&mdash;",
    "&#8217;", "&#146;", "&#x80;", "&#0;", "&#xD800;", "&#xFFFE;", "&#1;", "&#13;", "&#10;", "&#9;x", "&#;", "&#x;", "&;", "&", "&&", "&#128512;", "&#x1F600", "&nbsp;a&nbsp;b",
    "a &lt; b", "a < b &amp; c", "<a>&eacute;</a> &amp;eacute;", "&lt;&eacute;", "x < y\n&eacute;", "&eacute;\n< &eacute;", "&NotEqualTilde;", "&fjlig;", "&CounterClockwiseContourIntegral;",
    "&lt", "&LT;", "&Lt;", "&ThickSpace;|", "&zwj;", "&shy;", "&Tab;&NewLine;x", "&abcdefghijklmnopqrstuvwxyzabcdefghijklmnop;", "&ЖЖ;", "&é;",
    # Control sequences.
    "\x1b[31mred\x1b[0m", "\x1b[1;2Kx", "\x1b[", "a\x08b", "a\x00b", "a\x07", "\u206aa\u206f", "\ufff9ruby\ufffa\ufffb", "\ufffc", "\U0001d173", "\u0085\u0085x",
    # The special tokens, and near misses.
    "<start_of_text>", "<end_of_text>", "<END_OF_TEXT>", "a <end_of_text> b", "<start_of_text>x<end_of_text>", "x<start_of_text", "<|startoftext|>", "<|endoftext|>",
    "<end_of_text", "&lt;end_of_text&gt;", "<end_of_text><end_of_text>", "!<end_of_text>", "<ſtart_of_text>", "a<end_of_text>",
    # Names of people, places and things that the merges know well, or not at all.
    "a photo of a cat", "A photo of a cat.", "a close-up photo of a Golden Retriever", "Antidisestablishmentarianism", "supercalifragilisticexpialidocious", "qzxjkv", "zzzzzzzzzz",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ababababab", "hahahahahaha", "soooooo gooood", "#photooftheday #nofilter", "iPhone 15 Pro Max", "NVIDIA RTX-4090", "Llanfairpwllgwyngyll",
    "Donaudampfschifffahrtsgesellschaft", "¡Feliz año nuevo!", "¿Qué?", "Smørrebrød på ærø", "Þorn ðe", "Œuvre œil", "Dvořák", "Kraków", "Ærøskøbing", "Åsa", "Đặng", "Ştefan", "Ğ ğ",
    "e = mc²", "H₂O", "x² + y² = z²", "∫f(x)dx", "α β γ", "µ μ", "Ω Ω", "ℵ", "ℝ𝕏", "𝓗𝓮𝓵𝓵𝓸", "🅰🅱", "ⓗⓔⓛⓛⓞ", "ℌ", "№ 5", "㎏ ㍍", "㈱", "…and", "x…y",
]

LONG = [
    " ".join(["word"] * 74), " ".join(["word"] * 75), " ".join(["word"] * 76), " ".join(["word"] * 77), " ".join(["word"] * 500),
    "a" * 100, "a" * 1000, "ab" * 500, "abc" * 400, "!" * 300, "1" * 76, "1" * 75, "x1" * 40, "😀" * 40, "猫" * 60, "고양이" * 30, "é" * 90, "." * 1000, "ha" * 300,
    "the quick brown fox jumps over the lazy dog " * 12, "<end_of_text> " * 80, "&amp;" * 100, "привет мир " * 30, "Ã©" * 50, "a" * 74 + " " + "b" * 3,
    " ".join(f"n{i}" for i in range(60)), " ".join(["antidisestablishmentarianism"] * 20), " ".join(["word"] * 74) + " antidisestablishmentarianism",
]
