"""Defines what the parts of a training ask of each other: the trainer of a family, and callbacks of the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from generative_core.training.config import TrainConfig


class Family(Protocol):
    """What the trainer asks of a model, beside being an `nn.Module`."""

    config: Any
    ema_modules: tuple[str, ...]

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]: ...

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]: ...


class Training(Protocol):
    """What callbacks see of the trainer: how far a training has come, and what it trains."""

    module: nn.Module
    device: torch.device
    config: TrainConfig
    run_dir: Path
    step: int
    optimizers: dict[str, torch.optim.Optimizer]

    def gradient_norms(self) -> Mapping[str, float]: ...
    def averaged_weights(self) -> AbstractContextManager[None]: ...
    def stop(self, reason: str) -> None: ...
