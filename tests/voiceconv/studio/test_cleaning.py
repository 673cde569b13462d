"""What visitors leave on the server is deleted in time, while others come and go."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

from tests.waiting import PATIENCE
from voiceconv.studio.cleaning import contents, kept_clean, last_written


def leave(cache: Path, name: str) -> Path:
    path = cache / name / "recording.wav"
    path.parent.mkdir()
    path.write_bytes(b"speech")
    return path


def test_what_nobody_uses_is_deleted_and_the_rest_stays(tmp_path: Path) -> None:
    example = leave(tmp_path, "example")
    with kept_clean(tmp_path, 1.0):
        left, used = leave(tmp_path, "left"), leave(tmp_path, "used")
        until = time.monotonic() + PATIENCE
        number = 0
        while left.parent.exists() and time.monotonic() < until:
            used.write_bytes(b"speech")  # uploaded again, or converted into
            leave(tmp_path, f"other-{number}")  # and all the time somebody comes
            number += 1
            time.sleep(0.02)
    assert not left.parent.exists()
    assert used.exists()
    assert example.exists()
    assert (tmp_path / f"other-{number - 1}").exists()


def test_folders_that_vanish_meanwhile_are_no_reason_to_stop(tmp_path: Path) -> None:
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            (tmp_path / "visitor" / "zip" / "deep").mkdir(parents=True)
            shutil.rmtree(tmp_path / "visitor")

    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    try:
        for _ in range(1_000):
            assert next(contents(tmp_path)).st_ctime <= last_written(tmp_path)
    finally:
        over.set()
        visitor.join()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    before = last_written(folder)
    outside.write_bytes(b"written later")
    os.utime(outside, (2e9, 2e9))
    assert last_written(folder) == before


def test_it_ends_with_the_page(tmp_path: Path) -> None:
    before = threading.active_count()
    with kept_clean(tmp_path, 0.1):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
