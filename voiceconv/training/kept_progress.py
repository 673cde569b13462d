"""Keeps how far a preparation has come, so that it goes on from there after an interruption."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from generative_core.files import write_atomically

KEEP_SECONDS = 30.0


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


class KeptProgress:
    """The state of what learns, written to a file every half minute."""

    def __init__(self, path: Path | None, parts: Mapping[str, Stateful], generator: torch.Generator) -> None:
        """`parts` and `generator`, and torch's own random state, are what changes with each step."""
        self.path, self.parts, self.generator = path, parts, generator
        self.due = time.monotonic() + KEEP_SECONDS

    def load(self) -> int:
        """Restores what was kept; the step to go on with, 0 if nothing usable was kept."""
        if self.path is None:
            return 0
        try:
            kept = torch.load(self.path, weights_only=True)
        except Exception:  # none yet, or torn: torch raises many kinds
            return 0
        for name, part in self.parts.items():
            part.load_state_dict(kept["parts"][name])
        self.generator.set_state(kept["generator"])
        torch.set_rng_state(kept["random"])
        return int(kept["step"])

    def keep(self, step: int) -> None:
        """Writes the state after `step` steps, if the last time is long enough ago."""
        if self.path is None or time.monotonic() < self.due:
            return
        file = io.BytesIO()
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        random = {"generator": self.generator.get_state(), "random": torch.get_rng_state()}
        torch.save({"step": step, "parts": parts, **random}, file)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, file.getvalue())
        self.due = time.monotonic() + KEEP_SECONDS
