"""A lock that a process holds as long as it lives: the system lets go of it however the process ends, kill -9 too."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

PATIENCE = 0.5  # seconds; whoever only looks holds a lock for less


def try_lock(path: Path) -> IO[str] | None:
    """Takes the lock file `path`, which is made if needed, and returns it open; None if another process holds it.

    The lock is let go when the file is closed or the process ends. The file stays: only who holds it matters.
    """
    file = path.open("a+", encoding="utf-8")
    until = time.monotonic() + PATIENCE
    while not _take(file, fcntl.LOCK_EX):
        if time.monotonic() > until:
            file.close()
            return None
        time.sleep(0.02)
    return file


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        return not _take(file, fcntl.LOCK_SH)


def _take(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
