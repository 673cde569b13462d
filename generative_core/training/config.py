"""Defines the settings of a training: how long, where and how carefully."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from generative_core.training.precision import Precision


@dataclass(frozen=True)
class TrainConfig:
    """How long, where and how carefully to train. The run folder gets `metrics.jsonl`, `tensorboard/` and
    `checkpoints/`."""

    steps: int
    run_dir: Path | str
    seed: int = 0
    device: str = "auto"
    decay_steps: int = 0  # the learning rate falls linearly to zero over the last so many steps
    warmup_steps: int = 0
    ema_decay: float = 0.999
    ema_width: float = 0.0  # if set, the power-function EMA of this relative width instead, such as 0.1
    precision: Precision = field(default_factory=Precision)
    log_every: int = 50
    checkpoint_seconds: float = 180.0
    budget_seconds: float = math.inf  # stop in good order after so much time, resumable like any stop
