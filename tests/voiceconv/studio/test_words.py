"""Every translation belongs to a text of the page, and keeps what is filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceconv import studio
from voiceconv.audio.channels import CANCELLING
from voiceconv.studio.words import languages

SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in Path(studio.__file__).parent.rglob("*")
    if path.suffix in (".py", ".js", ".html")
)
SAID_ELSEWHERE = {CANCELLING}
FROM_VOICES = re.compile(r"((wo)?man, )?(US English|Italian|Czech)")


@pytest.mark.parametrize("language", languages())
def test_translations_fit_the_page(language: str) -> None:
    for english, translation in languages()[language].items():
        assert english in SOURCES or english in SAID_ELSEWHERE or FROM_VOICES.fullmatch(english), english
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", translation)), english
        assert translation.strip()


def test_every_language_says_everything() -> None:
    first, *others = languages().values()
    assert all(first.keys() == other.keys() for other in others)
