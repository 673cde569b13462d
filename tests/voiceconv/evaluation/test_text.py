"""Texts are compared as they are spoken, and their differences counted."""

from __future__ import annotations

import pytest

from voiceconv.evaluation.text import character_errors, normalise_text, word_errors


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Please press 1 -- now!", "please press one now"),
        ("Track 40, car 15.", "track forty car fifteen"),
        ("In 1999 or 200?", "in one thousand nine hundred ninety nine or two hundred"),
        ("Dial 2001, then 31415", "dial two thousand one then three one four one five"),
        (
            "It was 1,000 or 12,345,678.",
            "it was one thousand or twelve million three hundred forty five thousand six hundred seventy eight",
        ),
        ("Add 3.5 or 10.04, 2.", "add three point five or ten point zero four two"),
        ("The 1st, 12th, 20th and 33rd", "the first twelfth twentieth and thirty third"),
        ("Mrs. Young's 3D sound", "missus youngs three d sound"),
        ("Don’t  touch_this\n", "dont touch this"),
        ("", ""),
    ],
)
def test_normalise_text_writes_english_as_spoken(written: str, spoken: str) -> None:
    assert normalise_text(written) == spoken


def test_normalise_text_keeps_accents_and_leaves_other_languages_alone() -> None:
    assert normalise_text("Perché no? Premi 1, dr. Rossi!", "it") == "perché no premi 1 dr rossi"


def test_normalise_text_keeps_marks_however_they_are_written() -> None:
    assert normalise_text("हिन्दी में।", "hi") == "हिन्दी में"
    assert character_errors("la citta\u0300 e\u0300 piu\u0300 bella", "La città è più bella.", "it") == (0, 20)


def test_error_counts_worked_out_by_hand() -> None:
    # "kitten" -> "sitting" takes three edits.
    assert character_errors("Kitten.", "sitting") == (3, 6)
    # One word wrong, one missing, one added, of five.
    assert word_errors("the black cat sat down", "the back cat down now") == (3, 5)
    assert character_errors("Room 17", "room, seventeen!") == (0, 14)
    assert character_errors("no", "") == (2, 2)


def test_error_counts_need_a_reference() -> None:
    with pytest.raises(ValueError, match="no words"):
        character_errors("...", "something")
