"""docs/cli.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceconv.cli.reference import WIDTH, reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_help_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", WIDTH)
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m voiceconv.cli.reference > docs/cli.md"
