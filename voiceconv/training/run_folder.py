"""Keeps what belongs to a run in its folder, and trains there within the run's budget."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import voiceconv
from generative_core.files import write_atomically
from generative_core.training.callbacks import Callback
from generative_core.training.checkpoint import list_checkpoints
from generative_core.training.config import TrainConfig
from generative_core.training.data import Loader
from generative_core.training.trainer import Trainer
from voiceconv.errors import OtherRun, UserError
from voiceconv.training.dataset import cached
from voiceconv.training.progress import ProgressLines, say

Preset = TypeVar("Preset")


def find_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """Raises `UserError` if there is none of that name."""
    if name not in presets:
        raise UserError(f"The preset {name!r} is not one of {', '.join(presets)}.")
    return presets[name]


class RunFolder:
    """The folder of one run. It can only be resumed with the settings and the recordings that it was started with."""

    def __init__(
        self, path: Path, settings: Mapping[str, Any], *, resume: bool, budget_seconds: float | None = None
    ) -> None:
        """Writes the settings to `config.json`, or compares them with those of the run that is resumed.

        The budget counts from here on. Raises `OtherRun` if the settings are others, if there is a run that is not to
        be resumed, and if the folder holds a `config.json` of something else.
        """
        self.path, self.settings, self.resume = path, json.loads(json.dumps(settings)), resume
        self.deadline = math.inf if budget_seconds is None else time.monotonic() + budget_seconds
        record_settings(path, self.settings, resume=resume)

    @property
    def features(self) -> Path:
        """The folder of what is computed from the recordings once."""
        return self.path / "features"

    def record_split(self, split: Mapping[str, Any]) -> None:
        """Writes which segments are trained on to `split.json`, or compares that with the run that is resumed.

        Raises `OtherRun` for other recordings.
        """
        path = self.path / "split.json"
        self.split = json.loads(json.dumps(split))
        if path.exists() and list_checkpoints(self.path / "checkpoints"):
            try:
                before = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise OtherRun(
                    f"{path} is damaged, and it alone says which recordings {self.path} was started with. Restore it "
                    "from a copy, or start a new run."
                ) from error
            if before != self.split:
                raise OtherRun(
                    f"The recordings are not those that {self.path} was started with, or this version cuts them "
                    f"otherwise; {path.name} lists the ones it had. Put them back, or start a new run."
                )
        write_atomically(path, json.dumps(self.split, indent=1).encode())

    def prepared(self, name: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What `compute` gives for the settings and the split of this run, computed once and kept."""

        def announced() -> dict[str, Tensor]:
            say(f"Preparing {name}, once for this run. A budget counts this time, but does not cut it short.")
            return compute()

        return cached(self.features / f"{name}.safetensors", self.key, announced)

    def kept(self, name: str) -> Path:
        """Where to keep what is only of use for the settings and the split of this run."""
        return self.features / f"{name}-{self.key[:16]}"

    @property
    def key(self) -> str:
        """Changes with the settings and with the split."""
        return hashlib.sha256(json.dumps([self.settings, self.split]).encode()).hexdigest()

    def trainer(
        self, model: nn.Module, loader: Loader, callback: Callback, *, device: str, seed: int, **schedule: Any
    ) -> Trainer:
        """Trains in this folder with what is left of the budget; `schedule` is for `TrainConfig`."""
        left = self.deadline - time.monotonic()
        config = TrainConfig(run_dir=self.path, device=device, seed=seed, budget_seconds=left, **schedule)
        return Trainer(model, loader, config, [ProgressLines(), callback])


def record_settings(run_dir: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """What `RunFolder` does with settings when it is opened."""
    path = run_dir / "config.json"
    before = _read_settings(path) if path.exists() else None
    if before is not None and list_checkpoints(run_dir / "checkpoints"):
        if not resume:
            raise OtherRun(f"{run_dir} already holds a run. Add --resume to go on with it, or choose another folder.")
        now, then = _flat(settings), _flat(before)
        different = [name for name in {**now, **then} if now.get(name) != then.get(name)]
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


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"cyclegan": {"lambda_cycle": 3}}` -> `{"cyclegan.lambda_cycle": 3}`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


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
