"""Locks a file for as long as a process lives: the system lets go of it however the process ends, kill -9 too."""

from __future__ import annotations

from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

PATIENCE = 0.5  # seconds; whoever only looks holds a lock for less
LOOK = 0.1  # seconds; two that look at the same time do not take each other for a holder


def try_lock(path: Path) -> AcquireReturnProxy[FileLock] | None:
    """Takes the lock file `path`, which is made if needed; None if it is held already, by this process or another.

    The lock is let go at the end of a `with` block over what is returned, by its `lock.release()`, or when the process
    ends. The file may stay: only who holds it matters.
    """
    try:
        return FileLock(path, thread_local=False).acquire(timeout=PATIENCE, poll_interval=0.02)
    except Timeout:
        return None


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`."""
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=LOOK, poll_interval=0.01, thread_local=False):
            return False
    except Timeout:
        return True
