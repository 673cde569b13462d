"""Compares texts as they are spoken: normalises them and counts their differences in characters and in words."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

from voiceconv.evaluation.packages import evaluation_package

_UNITS = (  # noqa: SIM905 - a list of 20 lines is no easier to read
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_SPOKEN = {"dr": "doctor", "mr": "mister", "mrs": "missus"}
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.(\d+)|(st|nd|rd|th)\b)?")


class ErrorCount(NamedTuple):
    """Edits that turn a recognised text into the reference, and the length of the reference."""

    errors: int
    length: int


def normalise_text(text: str, language: str = "en") -> str:
    """Lower case, no punctuation, single spaces; in English also numbers and titles as they are spoken, because
    transcripts and recogniser write them differently ("40" and "forty")."""
    text = unicodedata.normalize("NFC", text.lower().replace("’", "'"))
    if language == "en":
        text = _NUMBER.sub(lambda number: f" {_spoken(*number.groups(default=''))} ", text)
    # Punctuation, symbols and control characters; marks, with which some scripts write their vowels, are letters here.
    letters = (" " if unicodedata.category(letter)[0] in "PSC" else letter for letter in text.replace("'", ""))
    words = "".join(letters).split()
    return " ".join(_SPOKEN.get(word, word) for word in words) if language == "en" else " ".join(words)


def _spoken(whole: str, fraction: str, ordinal: str) -> str:
    """The words of "1,200", "3.5" and "21st"; more than four digits without commas are said one by one."""
    if len(whole) > 4 and "," not in whole:
        words = [_UNITS[int(digit)] for digit in whole]
    else:
        words = _spoken_number(int(whole.replace(",", "")))
    if ordinal:
        last = words[-1]
        words[-1] = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return " ".join([*words, *(["point"] if fraction else []), *(_UNITS[int(digit)] for digit in fraction)])


def _spoken_number(number: int) -> list[str]:
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = _spoken_number(number % size) if number % size else []
            return [*_spoken_number(number // size), name, *rest]
    if number < 20:
        return [_UNITS[number]]
    return [_TENS[number // 10 - 2], *([_UNITS[number % 10]] if number % 10 else [])]


def character_errors(reference: str, heard: str, language: str = "en") -> ErrorCount:
    """Edits per character between the two texts as `normalise_text` leaves them: errors / length is the CER."""
    return _errors(evaluation_package("jiwer").process_characters, reference, heard, language)


def word_errors(reference: str, heard: str, language: str = "en") -> ErrorCount:
    """Edits per word between the two texts as `normalise_text` leaves them: errors / length is the WER."""
    return _errors(evaluation_package("jiwer").process_words, reference, heard, language)


def _errors(process: Any, reference: str, heard: str, language: str) -> ErrorCount:
    reference = normalise_text(reference, language)
    if not reference:
        raise ValueError("the reference text has no words")
    counts = process(reference, normalise_text(heard, language))
    return ErrorCount(
        errors=counts.substitutions + counts.deletions + counts.insertions,
        length=counts.hits + counts.substitutions + counts.deletions,
    )
