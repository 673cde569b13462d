"""Makes names of files that systems allow and programs forget: every Unicode category, both normal forms, 255 bytes."""

from __future__ import annotations

import os
import random
import sys
import unicodedata
from functools import cache

LONGEST = 255  # bytes of a name, in most file systems
# Reserved by Windows, read as options, addresses or patterns by programs, or hard to see.
WORDS = (
    *("CON", "con", "NUL", "PRN", "AUX", "COM1", "LPT9", "-", "--", "-h", "--help", "~", ".", "..", "...", "*", "?"),
    *("[a]", "{}", "%s", "%00", "$HOME", "`id`", "a b", " a", "a ", "a.", "concat:a", "http:a", "file:a", "a|b", "a;b"),
    *("a\nb", "a\tb", "a\\b", "a'b", 'a"b', "<b>", "&amp;", "\u202egpj", "\u200b", "\ufeffa", "\udcff", "\udc80\udcfe"),
    *(
        "Jos\u00e9",
        "Jose\u0301",
        "\u0938\u0940\u0924\u093e",
        "\u0e2a\u0e21\u0e28\u0e23\u0e35",
        "\U0001f600",
        "metadata",
    ),
)


def odd_name(chance: random.Random, ending: str) -> str:
    """A file's name with this ending; what its bytes do not have an encoding for are lone surrogates (PEP 383)."""
    stem = ""
    for _ in range(chance.choice((1, 1, 2, 3))):
        stem += chance.choice(WORDS) if chance.random() < 0.5 else odd_text(chance)
    stem = unicodedata.normalize(chance.choice(("NFC", "NFD")), stem)
    if chance.random() < 0.1:
        stem = (stem * LONGEST)[:LONGEST]
    while len(os.fsencode(stem + ending)) > LONGEST:
        stem = stem[:-1]
    return (stem or "a") + ending


def odd_text(chance: random.Random) -> str:
    """A few characters of one Unicode category."""
    known = characters()
    category = chance.choice(sorted(known))
    return "".join(chance.choice(known[category]) for _ in range(chance.randrange(1, 12)))


@cache
def characters() -> dict[str, str]:
    """What a file's name may hold, by category; of surrogates there are those that stand for bytes."""
    found: dict[str, list[str]] = {}
    for code in range(1, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if chr(code) != "/" and (category != "Cs" or 0xDC80 <= code <= 0xDCFF):
            found.setdefault(category, []).append(chr(code))
    return {category: "".join(some) for category, some in found.items()}


def names_case(number: int) -> list[str]:
    """Paths of a few files in a folder and one below it: recordings, pictures, and others; some differ only in case,
    form or ending."""
    chance = random.Random(f"names {number}")
    endings = (".wav", ".flac", ".png", ".ppm", ".bmp", ".txt", "")
    paths: list[str] = []
    for _ in range(chance.randrange(1, 6)):
        name = odd_name(chance, chance.choice(endings))
        stem, ending = os.path.splitext(name)
        paths.append(name)
        if chance.random() < 0.4:
            twin = chance.choice(
                (
                    stem.upper() + ending,
                    unicodedata.normalize(chance.choice(("NFC", "NFD")), stem) + ending,
                    stem + chance.choice(endings),
                    name + chance.choice(endings),
                )
            )
            if len(os.fsencode(twin)) <= LONGEST:
                paths.append(twin)
    folder = odd_name(chance, "")[:40]
    paths = [f"{folder}/{path}" if chance.random() < 0.3 else path for path in paths]
    return [path for path in dict.fromkeys(paths) if path != folder and not {".", ".."} & set(path.split("/"))]
