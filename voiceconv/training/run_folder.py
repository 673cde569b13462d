"""What a run folder says of how it was started, so that it can only be resumed as the same run."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import voiceconv
from generative_core.files import write_atomically
from generative_core.training.checkpoint import list_checkpoints
from voiceconv.errors import OtherRun


def record_settings(run_dir: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Writes the resolved settings and versions to `config.json`, or holds them against a run that is resumed.

    Raises `OtherRun` if they are not its own, or if the folder holds a `config.json` of something else.
    """
    path = run_dir / "config.json"
    settings = json.loads(json.dumps(settings))
    before = _read_settings(path) if path.exists() else None
    if before is not None and list_checkpoints(run_dir / "checkpoints"):
        if not resume:
            raise OtherRun(f"{run_dir} already holds a run. Add --resume to go on with it, or choose another folder.")
        different = [key for key in {**settings, **before} if settings.get(key) != before.get(key)]
        if different:
            raise OtherRun(
                f"{run_dir} was started with other settings ({', '.join(different)}). Resume it with the same ones, or "
                "choose another folder."
            )
        return
    versions = {
        "voiceconv": voiceconv.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"settings": settings, "versions": versions}, indent=2).encode())


def record_split(run_dir: Path, split: Mapping[str, Any]) -> None:
    """Writes which segments are trained on and which are not to `split.json`, or holds that against a resumed run:
    raises `OtherRun` for other recordings."""
    path = run_dir / "split.json"
    split = json.loads(json.dumps(split))
    if list_checkpoints(run_dir / "checkpoints") and path.exists() and json.loads(path.read_text("utf-8")) != split:
        raise OtherRun(
            f"The recordings are not those that {run_dir} was started with, or this version cuts them otherwise. Put "
            "them back, or start a new run."
        )
    write_atomically(path, json.dumps(split, indent=1).encode())


def _read_settings(path: Path) -> dict[str, Any]:
    record: Any = None
    with contextlib.suppress(ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
    settings = record.get("settings") if isinstance(record, dict) else None
    if not isinstance(settings, dict):
        raise OtherRun(
            f"{path} was not written by a training of this program, which keeps its settings under that name. Choose "
            "another folder for the run."
        )
    return settings
