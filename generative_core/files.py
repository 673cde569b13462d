"""Writes files that are complete or not there, and reads logs that may end in the middle of a line."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def read_rows(path: Path, *needed: str) -> list[dict[str, Any]]:
    """The rows of a log in JSONL, numbers by name, none if there is no file.

    Each has a whole number "step" and the numbers `needed`. A line without them does not count: it is damaged, being
    written, or was cut off when its process was killed.
    """
    rows = []
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if line.endswith(b"\n") and _is_row(row, needed):
                rows.append(row)
    return rows


def _is_row(row: Any, needed: tuple[str, ...]) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(value, int | float) for value in row.values())
        and isinstance(row.get("step"), int)
        and row.keys() >= set(needed)
    )


def drop_rows_after(path: Path, step: int, *needed: str) -> list[dict[str, Any]]:
    """Rewrites a log without what a killed process wrote beyond the step that is resumed from, and without what
    `read_rows` does not count; the rows that stay."""
    rows = [row for row in read_rows(path, *needed) if row["step"] <= step]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return rows
