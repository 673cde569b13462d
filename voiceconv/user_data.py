"""Where a user's own voices and trainings lie, beside the voices that came with the program.

The environment variable `VOICECONV_HOME` names the folder; without it, it is where the system keeps a user's data.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import platformdirs

HOME = "VOICECONV_HOME"
LONGEST_NAME = 64
NAME_RULE = f"it must be made of up to {LONGEST_NAME} letters, digits, spaces, dots and dashes"
LONGEST_BYTES = 240  # in UTF-8: with an extension, a name must fit into the 255 bytes of a file name


def is_name(text: str, *, longest: int = LONGEST_NAME, punctuation: str = " .-") -> bool:
    """Whether a voice, a speaker or a training can be called so: files are called after them.

    The marks with which many scripts write their vowels and accents go with the letters.
    """
    return (
        0 < len(text) <= longest
        and len(text.encode(errors="replace")) <= LONGEST_BYTES
        and (text[0].isalnum() or text[0] == "_")
        and all(_is_letter(character) or character in punctuation for character in text)
    )


def _is_letter(character: str) -> bool:
    """Whether a character is a letter or digit of any script, an underscore, or a mark on one."""
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def shortened(text: str) -> str:
    """The beginning of a text that is no longer than a name can be."""
    while len(text) > LONGEST_NAME or len(text.encode(errors="replace")) > LONGEST_BYTES:
        text = text[:-1]
    return text


def normalised(text: str) -> str:
    """The one way to write a name: keyboards and file systems write é as one character or as two (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text)


def home() -> Path:
    """The folder of everything that is kept for the user; it need not exist yet."""
    if named := os.environ.get(HOME):
        return Path(named).expanduser().absolute()
    return platformdirs.user_data_path("voiceconv", appauthor=False)


def voices_folder() -> Path:
    """A folder for each voice that was imported or trained."""
    return home() / "voices"


def runs_folder() -> Path:
    """A run folder for each training that was started from the page."""
    return home() / "runs"
