#!/ usr / bin / env python3
"""Writes what the WordPiece tests expect, as the reference tokenizer (PyPI `tokenizers`) says it.

    pip install tokenizers==0.22.1
    make_wordpiece_expected.py product1m_dev_ossurl_v2.txt     # the published dev list of Product1M

Into wordpiece/ beside this file:
    vocab.txt            a vocabulary learnt from the titles below, plus every character in them
    titles.txt           the dev list's titles, one a line
    hostile.txt          lines that are hard on a tokenizer, most from the corners of Unicode
    *.ids                the reference's ids for each line, [CLS] and [SEP] among them
    hostile.<how>.ids    the same under other options: cased, cased and stripped, lower-cased with accents, no CJK spacing
The files are committed: the tests need no Python. Lines end in "\\n" alone, a "\\r" inside one is part of it.
"""
import pathlib
import random
import sys

import tokenizers
from tokenizers import BertWordPieceTokenizer, normalizers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FOLDER = pathlib.Path(__file__).parent / "wordpiece"

OPTIONS = {
    "": dict(lowercase=True),
    "cased.": dict(lowercase=False),
    "cased_stripped.": dict(lowercase=False, strip_accents=True),
    "accents.": dict(lowercase=True, strip_accents=False),
    "no_cjk_spacing.": dict(lowercase=True, handle_chinese_chars=False),
}

BY_HAND = [
    "", " ", "\t", "\r", "\u3000", "a", "A", "1", "\u4e2d", "##a", "#", "a##b", "[CLS]", "[MASK]", "x[SEP]y", "[ MASK ]",
    "[mask]", "[UNK][PAD]", "[[MASK]]", "[CLS", "MASK]",
    "e\u0301 \u00e9 E\u0301 \u00c9 e\u0323\u0302 e\u0302\u0323 \u1ec7",  # accents, composed or not, in either order
    "o\u0328\u0304 \u01ed \u1e69 s\u0323\u0307 s\u0307\u0323 q\u0307\u0323",
    "\u0130stanbul I\u0307 \u0131 i\u0307 DI\u015eI",  # Turkish
    "Stra\u00dfe STRASSE \u1e9e \ufb01n \ufb03 \u0132 \u0133 \u01c4 \u01c5 \u01c6 \u0149",  # sharp s, ligatures, digraphs
    "\u039f\u0394\u039f\u03a3 \u03a3\u03a3 \u03c2 \u1fb3 \u1fbc \u0390 \u1f88",  # final sigma is not a matter of context here
    "\u037e ; \u0387 \u00b7 \u1fef ` \u2000\u2001 \u212a \u212b \u2126",  # one character by canonical decomposition
    "\u226e \u2260 \u226f < = >\u0338 \u2adc",  # decompose to ASCII signs
    "\uac00\uac01\ud7a3 \u1100\u1161\u11a8 \u3131\u314f \uffa1\uffc2",  # Hangul and its letters
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f \u0622 \u0623",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u202b\u05d0\u05d1\u202c \u200f\u200e \u2066a\u2069",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0958 \u0915\u093c \u0b94 \u0e01\u0e33 \u0e9a\u0eb1 \u1026 \u1025\u102e",
    "\u304c\u304b\u3099 \u30d1\u30cf\u309a \u30f4 \uff8a\uff9f \u3099\u309a \u30fb\u30fc",
    "\uff21\uff22\uff43\uff11\uff12\uff01\uff0c\u3002\u3001\u300a\u300b\u300c\u300d\uff08\uff09\u3010\u3011",
    "24K\u91d1\u7eafSK-II\u795e\u4ed9\u6c34230ml\u00d72\u74f6", "5.5%\u6c28\u57fa\u9178&\u70df\u9170\u80fa@50g+30g",
    "\uf900\ufa0e\ufaff \u2e80\u2f00\u3007\u3021 \u3400\u4dbf\u4dc0\u4e00\u9fff\ua000",
    "\U00020000\U0002a6df\U0002a6e0\U0002a700\U0002b73f\U0002b740\U0002b81f\U0002b820\U0002b91f\U0002b920",
    "\U0002cea1\U0002ceaf\U0002ceb0\U0002f800\U0002fa1f\U00030000\U000e0001\U000e0100",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u2764\ufe0f \U0001f1e8\U0001f1f3 1\ufe0f\u20e3",
    "\U0001d400\U0001d4d0\U0001d552 \u2460\u24b6\u24d0 \u00b2\u00bd \u2163 \u2173 \u3392 \u2122 \u00aa",
    "\ue000\uf8ff\U000f0000\U00100000 \ufffe\uffff\ufdd0 \u0378\u0380 \U0001fffe",
    "a\u0000b a\u0001b a\u001bb a\u007fb a\u0080b a\u0085b a\u00adb a\ufeffb a\ufffdb a\u200bb a\u2060b a\u180eb",
    "a\u000bb a\u000cb a\u001cb a\u001fb a\rb a\tb a\u00a0b a\u1680b a\u2003b a\u2028b a\u2029b a\u202fb a\u205fb a\u3000b",
    "\u302e\u302f \u1885\u1886 \ua9bd \u1734 \u166d \U000111c9 \u08e2 \U000110cd \u2e43 \u061d \U00011938",
    "a\u302ea\u302fa\u0301\u302e\u0323 \U0001d15e \U0001d157\U0001d165 \U0001d1bb \u0f73 \u0f75 \u0f81 \u0f71\u0f72",
    "\u1c89 \ua7cb \ua7cc \ua7da \ua7dc \U00010d50 \U00010d65 \U00010400 \U000118a0 \u13a0 \uab70 \u10a0 \u1c90",
    "\u0345\u0399 \u0344 \u0340\u0341 \u0343 \u0374 \u1ffd \u1fee \u2329\u232a",
    "x" * 100, "x" * 101, "X" * 99 + "\u00c9", "X" * 100 + "\u00c9", "\u00e9" * 100, "\u00e9" * 101, "\uac00" * 50,
    "\uac00" * 51, "\u0301" * 200, "a" + "\u0301" * 200 + "b", "a" + "\u302e\u302f" * 120, "!" * 120, "\u4e2d" * 120,
    "\U0001f600" * 101, " ".join(["word"] * 60), "a" * 99 + " " + "b" * 101 + "!" + "c" * 100,
    "\u2018quoted\u2019 \u201ctwice\u201d \u2014\u2013\u2026\u2030 \u20ac\u00a3\u00a5 \u00ab\u00bb \u00a1\u00bf \u2116",
    "$^`|~+<=> \"'(),-./:;!?@[\\]_{}*&%#", "don't can't rock'n'roll l'Or\u00e9al LANC\u00d4ME Est\u00e9e Kiehl\u2019s",
]

#Where random characters come from : (first, last) and how often.
RANGES = [
    (0x00, 0x7F, 8), (0x80, 0x24F, 6), (0x250, 0x36F, 6), (0x370, 0x52F, 3), (0x590, 0x8FF, 4), (0x900, 0x109F, 4),
    (0x1100, 0x11FF, 2), (0x1200, 0x1CFF, 3), (0x1D00, 0x1FFF, 4), (0x2000, 0x206F, 4), (0x2070, 0x2BFF, 3),
    (0x2C00, 0x303F, 4), (0x3040, 0x33FF, 3), (0x3400, 0x9FFF, 6), (0xA000, 0xABFF, 3), (0xAC00, 0xD7FF, 2),
    (0xE000, 0xF8FF, 1), (0xF900, 0xFFFF, 4), (0x10000, 0x12FFF, 3), (0x13000, 0x1CFFF, 1), (0x1D000, 0x1FFFF, 3),
    (0x20000, 0x323AF, 2), (0xE0000, 0xE01EF, 1), (0xF0000, 0x10FFFF, 1),
]


def random_line(draw):
    characters = []
    for _ in range(draw.randint(1, 24)):
        first, last, _ = draw.choices(RANGES, weights=[each[2] for each in RANGES])[0]
        c = draw.randint(first, last)
        if c == 0x0A or 0xD800 <= c < 0xE000:
            c = 0x20
        characters.append(chr(c) + draw.choice(["", "", "", " "]))
    return "".join(characters)


def captions(path):
    return [line.split("#####")[1] for line in path.read_text(encoding="utf-8").splitlines() if line]


def make_vocabulary(titles, hostile):
    """Pieces of the titles' Latin words are learnt; of the hostile lines, most characters are known."""
    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(titles, vocab_size=2600, min_frequency=2, special_tokens=SPECIALS, show_progress=False,
                                limit_alphabet=4000)
    pieces = [piece for piece, _ in sorted(trainer.get_vocab().items(), key=lambda item: item[1])]
    assert pieces[:5] == SPECIALS
    forms = [normalizers.BertNormalizer(lowercase=low, strip_accents=strip) for low in (True, False)
             for strip in (True, False)]
    seen = sorted({c for line in hostile for form in forms for c in form.normalize_str(line) if not c.isspace()})
    draw = random.Random(11)
    known = set(pieces)
    for c in seen:
        for piece in (c, "##" + c):
            if piece not in known and draw.random() < 0.8:
                pieces.append(piece)
                known.add(piece)
    return pieces


def write_lines(name, lines):
    (FOLDER / name).write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def main():
    if tokenizers.__version__ != "0.22.1":
        sys.exit(f"tokenizers {tokenizers.__version__} is installed; the files were made with 0.22.1")
    titles = captions(pathlib.Path(sys.argv[1]))
    draw = random.Random(7)
    hostile = BY_HAND + [random_line(draw) for _ in range(1500)]
    FOLDER.mkdir(exist_ok=True)
    write_lines("vocab.txt", make_vocabulary(titles, hostile))
    write_lines("titles.txt", titles)
    write_lines("hostile.txt", hostile)
    for name, options in OPTIONS.items():
        reference = BertWordPieceTokenizer(str(FOLDER / "vocab.txt"), **options)
        for kind, lines in (("titles", titles), ("hostile", hostile)):
            if kind == "hostile" or name == "":
                ids = [encoding.ids for encoding in reference.encode_batch(lines)]
                write_lines(f"{kind}.{name}ids", [" ".join(map(str, line)) for line in ids])


if __name__ == "__main__":
    main()
