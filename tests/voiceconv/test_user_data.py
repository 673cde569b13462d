from __future__ import annotations

from pathlib import Path

import pytest

from voiceconv.user_data import HOME, home


def test_a_home_is_the_same_wherever_a_process_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trainings run in processes that stand elsewhere."""
    monkeypatch.setenv(HOME, "mine")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / "mine"
