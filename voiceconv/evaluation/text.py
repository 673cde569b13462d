"""Compares texts as they are spoken: normalises them and counts their differences in characters and in words."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

from voiceconv.evaluation.packages import evaluation_package

_SPOKEN = {"dr": "doctor", "mr": "mister", "mrs": "missus"}
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
    num2words = evaluation_package("num2words").num2words
    said_as_digits = len(whole) > 4 and "," not in whole
    *digits, last = list(whole) if said_as_digits else [whole.replace(",", "")]
    words = [num2words(int(digit)) for digit in digits]
    words.append(num2words(int(last), to="ordinal" if ordinal else "cardinal"))
    if fraction:
        words += ["point", *(num2words(int(digit)) for digit in fraction)]
    # Americans say no "and" in a number, and neither transcripts nor recogniser are sure to write one.
    return " ".join(words).replace(" and ", " ")


def character_errors(reference: str, recognised: str, language: str = "en") -> ErrorCount:
    """Edits per character between the two texts as `normalise_text` leaves them: errors / length is the CER."""
    return _errors(evaluation_package("jiwer").process_characters, reference, recognised, language)


def word_errors(reference: str, recognised: str, language: str = "en") -> ErrorCount:
    """Edits per word between the two texts as `normalise_text` leaves them: errors / length is the WER."""
    return _errors(evaluation_package("jiwer").process_words, reference, recognised, language)


def _errors(process: Any, reference: str, recognised: str, language: str) -> ErrorCount:
    reference = normalise_text(reference, language)
    if not reference:
        raise ValueError("the reference text has no words")
    counts = process(reference, normalise_text(recognised, language))
    return ErrorCount(
        errors=counts.substitutions + counts.deletions + counts.insertions,
        length=counts.hits + counts.substitutions + counts.deletions,
    )
