"""Scores of a run against the minutes that its steps took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.learning_curves import Config, curves, main
from voiceconv.errors import UserError


def write_rows(path: Path, *rows: dict[str, float]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_score_stands_at_the_minute_of_its_step(tmp_path: Path) -> None:
    write_rows(tmp_path / "metrics.jsonl", {"step": 50, "seconds": 60.0}, {"step": 100, "seconds": 180.0})
    scores = [{"step": 75, "score": 0.5, "a-to-b/voice": 0.9, "a-to-b/cycle": 1.0}, {"step": 100, "score": 0.7}]
    write_rows(tmp_path / "scores.jsonl", *[{"a-to-b/voice": 0.8, **row} for row in scores])
    drawn = curves(tmp_path)
    assert drawn == {"a-to-b/voice": ([2.0, 3.0], [0.9, 0.8]), "score": ([2.0, 3.0], [0.5, 0.7])}
    assert main(Config(runs=(tmp_path,), out=tmp_path / "new" / "curves.webp")) == 0
    assert (tmp_path / "new" / "curves.webp").stat().st_size > 5_000


def test_a_folder_without_previews_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a run folder after a preview"):
        curves(tmp_path)
