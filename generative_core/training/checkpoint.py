"""Saves and loads checkpoints, which are whole or not there: written to the side, flushed, then renamed.

A file is called `step_00001000-1a2b3c4d5e6f.pt`; the second part is the start of its SHA-256, so that a torn or altered
file is recognised before any of it is used. Loading never runs code from the file (`weights_only`).
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from generative_core.errors import UserError
from generative_core.files import UNFINISHED, write_atomically

_NAME = re.compile(r"step_(\d{8})-([0-9a-f]{12})\.pt")
_FIELDS = {"family", "config", "step", "model", "optimizers", "ema", "random", "loader", "versions"}


class CheckpointError(UserError):
    """A checkpoint cannot be written or read; the message says which and why."""


def save_checkpoint(folder: Path, state: dict[str, Any], *, keep: int = 2) -> Path:
    """Saves `state` (tensors and plain data) under its step and removes all but the newest `keep` checkpoints."""
    assert set(state) == _FIELDS
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"step_{state['step']:08d}-{hashlib.sha256(content).hexdigest()[:12]}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint of step {state['step']} could not be written to {folder}: {error.strerror}. "
            "The run stopped and the checkpoints before it are intact: make room, then resume."
        ) from error
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    for leftover in folder.glob(UNFINISHED):
        leftover.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest step first."""
    return sorted(path for path in folder.glob("step_*.pt") if _NAME.fullmatch(path.name))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads one checkpoint onto the CPU; raises `CheckpointError` with the reason if it is torn or foreign."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise CheckpointError(f"{path} is not named like a checkpoint (step_00001000-<hash>.pt)")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:12] != match[2]:
        raise CheckpointError(f"{path} is damaged: its content does not match the hash in its name")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not one of its own
        raise CheckpointError(f"{path} is not a checkpoint of this library: {error}") from error
    if not isinstance(state, dict) or set(state) != _FIELDS:
        raise CheckpointError(f"{path} does not hold a training state of this library")
    return state


def load_latest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, warning of each newer one that cannot; None in an empty folder."""
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            warnings.warn(f"{error}; using the one before it", stacklevel=2)
    if paths:
        raise CheckpointError(f"None of the {len(paths)} checkpoints in {folder} can be read")
    return None
