"""Deletes what visitors left: uploads and results are kept for an hour, and not for longer.

Gradio's own way (`Blocks(delete_cache=...)`) goes through a set in one thread while requests add to it in others. When
the two meet, it ends without a word, and every recording after that stays until the server is stopped.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path


def start_cleaning(cache: Path, seconds: float) -> threading.Event:
    """From now until the event is set, deletes each folder in `cache` that nobody has written to for so many seconds.

    What is there already is the page's own and stays. Ages are told by a clock that nobody can set.
    """
    own, over = set(cache.iterdir()), threading.Event()
    threading.Thread(target=_keep_clean, args=(cache, own, seconds, over), daemon=True).start()
    return over


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
    """When a file in `folder` was last written, put there or deleted; files may vanish meanwhile."""
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        try:
            times.append(path.stat().st_ctime)
        except OSError:
            continue
    return max(times)
