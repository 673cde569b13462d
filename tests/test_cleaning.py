"""What visitors leave on the server is deleted in time, while others come and go."""

from __future__ import annotations

import time
from pathlib import Path

from voiceconv.studio.cleaning import start_cleaning

WAIT = 60.0


def leave(cache: Path, name: str) -> Path:
    path = cache / name / "recording.wav"
    path.parent.mkdir()
    path.write_bytes(b"speech")
    return path


def test_what_nobody_uses_is_deleted_and_the_rest_stays(tmp_path: Path) -> None:
    example = leave(tmp_path, "example")
    over = start_cleaning(tmp_path, 1.0)
    left, used = leave(tmp_path, "left"), leave(tmp_path, "used")
    until = time.monotonic() + WAIT
    number = 0
    while left.parent.exists() and time.monotonic() < until:
        used.write_bytes(b"speech")  # uploaded again, or converted into
        leave(tmp_path, f"other-{number}")  # and all the time somebody comes
        number += 1
        time.sleep(0.02)
    over.set()
    assert not left.parent.exists()
    assert used.exists()
    assert example.exists()
    assert (tmp_path / f"other-{number - 1}").exists()
