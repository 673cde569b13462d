"""Writes files that are complete or not there, and reads logs that may end in the middle of a line."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

UNFINISHED = f".{'[0-9a-f]' * 16}.part"
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


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, none if there is no file. A last line that is not whole, because it is being written or
    its process was killed, does not count."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def drop_rows_after(path: Path, step: int) -> list[dict[str, Any]]:
    """Rewrites a log without what a killed process wrote beyond the step that is resumed from; the rows that stay."""
    rows = [row for row in read_rows(path) if row["step"] <= step]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return rows
