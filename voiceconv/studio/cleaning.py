"""Deletes what visitors left: uploads and results are kept for an hour, and not for longer.

Gradio's own way (`Blocks(delete_cache=...)`) goes through a set in one thread while requests add to it in others. When
the two meet, it ends without a word, and every recording after that stays until the server is stopped.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_clean(cache: Path, seconds: float) -> Iterator[None]:
    """Inside, each folder in `cache` that nobody has written to for so many seconds is deleted.

    What is there already is the page's own and stays. Ages are told by a clock that nobody can set.
    """
    own, over = set(cache.iterdir()), threading.Event()
    thread = threading.Thread(target=_keep_clean, args=(cache, own, seconds, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep_clean(cache: Path, own: set[Path], seconds: float, over: threading.Event) -> None:
    known: dict[Path, tuple[float, float]] = {}
    while not over.wait(seconds / 60):
        there = set(cache.iterdir()) - own
        known = {folder: when for folder, when in known.items() if folder in there}
        for folder in there:
            written, now = last_written(folder), time.monotonic()
            before, since = known.get(folder, (None, now))
            if written != before:
                known[folder] = written, now
            elif now - since > seconds:
                shutil.rmtree(folder, ignore_errors=True)


def last_written(folder: Path) -> float:
    """When something in `folder` was last written, put there or deleted."""
    return max((found.st_ctime for found in contents(folder)), default=0.0)


def contents(folder: Path) -> Iterator[os.stat_result]:
    """What the system knows of a folder and of all files and folders in it; they may vanish meanwhile (`Path.rglob`
    raises then)."""
    for parent, _, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in files)):
            try:
                found = os.stat(path, follow_symlinks=False)
            except OSError:
                continue
            yield found
