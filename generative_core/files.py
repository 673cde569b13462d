"""Files that are complete or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".*.part"
"""What a process leaves behind if it is killed in the middle of writing, as a pattern to clean up by."""


def write_atomically(path: Path, content: bytes) -> None:
    """Puts `content` at `path` completely or not at all, whatever happens meanwhile; raises `OSError`."""
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends well, and vanishes otherwise."""
    # Beside the target, since only within one file system is replacing atomic; the name is short, since the target's
    # may already be as long as the system allows.
    unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
