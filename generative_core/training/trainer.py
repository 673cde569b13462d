"""Runs the training loop: device, steps, learning-rate schedule, EMA, logs, checkpoints, exact resume, clean stops.

A family owns its training step; the trainer owns the loop, knows nothing of any family and has no subclasses. Under
`torchrun` its processes work together (see `parallel`): the loader's batch is the total one, and the first process
alone writes files and calls the callbacks.
"""

from __future__ import annotations

import dataclasses
import math
import platform
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from generative_core.errors import UserError
from generative_core.training.callbacks import Callback, HealthWarnings, MetricsLog, ProgressBar
from generative_core.training.checkpoint import CheckpointError, load_latest_checkpoint, save_checkpoint
from generative_core.training.config import TrainConfig
from generative_core.training.data import Loader
from generative_core.training.parallel import (
    WorkerLost,
    any_process,
    average,
    averaged_gradients,
    from_first,
    is_first,
    own_rows,
)
from generative_core.training.protocols import Family


class NonFiniteLoss(UserError):
    """A loss became infinite or not a number; the last checkpoint is from before."""


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, then the CPU. Apple's MPS, which has no double precision, is for those who ask for it."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def power_of_width(width: float) -> float:
    """The exponent `gamma` of a power-function EMA, which weighs the weights of step t by `t ** gamma`, whose deviation
    is this share of the training so far (Karras et al. 2024, arXiv:2312.02696, algorithm 2)."""
    if not 0 < width <= 12**-0.5:
        raise ValueError(f"the relative width of an average is above 0 and at most 0.288, not {width}")
    return float(np.roots([1, 7, 16 - width**-2, 12 - width**-2]).real.max())


class Trainer:
    """Trains a family on a loader; `fit()` starts, or goes on exactly where the run folder's last checkpoint was."""

    def __init__(
        self, model: nn.Module, loader: Loader, config: TrainConfig, callbacks: Sequence[Callback] | None = None
    ) -> None:
        self.device = choose_device(config.device)
        self.module = model.to(self.device)
        self.family = cast(Family, model)
        self.loader = loader
        self.config = config
        self.run_dir = Path(config.run_dir)
        self.step = 0
        config.precision.prepare(model)
        self.optimizers = self.family.configure_optimizers()
        for optimizer in self.optimizers.values():
            self._fuse(optimizer.param_groups)
        self.base_rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }
        self.ema = {name: value.detach().clone() for name, value in self._averaged_parameters().items()}
        self.callbacks = [MetricsLog(), HealthWarnings(), ProgressBar(), *(callbacks or [])] if is_first() else []
        self._stop_signal: int | None = None
        self.stop_reason: str | None = None

    def stop(self, reason: str) -> None:
        """Ends `fit` after the current step, in good order; for callbacks that see it go wrong."""
        self.stop_reason = reason

    def fit(self, *, resume: bool = False) -> bool:
        """Runs to the last step, or until the budget or a signal (Ctrl-C, SIGTERM) ends it after a checkpoint.

        Returns whether the last step was reached. Raises `NonFiniteLoss`, and `CheckpointError` when a checkpoint
        cannot be written, when the run folder already holds one and `resume` is off, or when it is of another model;
        `WorkerLost` when another process of the training is gone.
        """
        try:
            return self._fit(resume)
        except WorkerLost as error:
            raise WorkerLost(
                f"Another process of this training died or cannot be reached any more, at step {self.step}, so the run "
                "stopped. Its last checkpoint is from before that: start all processes again and resume it."
            ) from error

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside, the model's averaged modules hold their EMA weights."""
        parameters = self._averaged_parameters()
        backup = {name: value.detach().clone() for name, value in parameters.items()}
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(self.ema[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in parameters.items():
                    value.copy_(backup[name])

    def rate_factor(self, step: int) -> float:
        """What the learning rates are multiplied by: linear warm-up, level, linear decay to zero."""
        config = self.config
        factor = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.decay_steps:
            factor *= min(1.0, (config.steps - step) / config.decay_steps)
        return factor

    def gradient_norms(self) -> dict[str, float]:
        """The norm of the last gradients, as they were applied, by optimizer."""
        norms = {}
        for name, optimizer in self.optimizers.items():
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms[name] = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        return norms

    def save(self) -> Path:
        """Writes a checkpoint of everything that the next step depends on."""
        state = {
            "family": type(self.module).__name__,
            "config": dataclasses.asdict(self.family.config),
            "step": self.step,
            "model": self.module.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "ema": self.ema,
            "random": _random_state(),
            "loader": self.loader.state_dict(),
            "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        }
        return save_checkpoint(self.run_dir / "checkpoints", state)

    def _fit(self, resume: bool) -> bool:
        torch.manual_seed(self.config.seed)
        random.seed(self.config.seed)
        np.random.seed(self.config.seed)  # noqa: NPY002 - the state that others may draw from
        self._restore(resume)
        started = saved = time.monotonic()
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # watching changes nothing
            for callback in self.callbacks:
                callback.on_start(self)
        with self._catch_signals(), averaged_gradients(self.module):
            while self.step < self.config.steps:
                scalars = self._advance()
                with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # watching changes nothing
                    for callback in self.callbacks:
                        callback.on_step(self, scalars)
                now = time.monotonic()
                over = now - started > self.config.budget_seconds
                if any_process(bool(self._stop_signal or self.stop_reason or over)):
                    break
                if is_first() and now - saved > self.config.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            if is_first():
                self.save()
        for callback in self.callbacks:
            callback.on_end(self)
        return self.step >= self.config.steps

    def _advance(self) -> Mapping[str, float]:
        factor = self.rate_factor(self.step)
        for name, optimizer in self.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = rate * factor
        precision = self.config.precision
        batch = {name: precision.arrange(own_rows(x).to(self.device)) for name, x in next(self.loader).items()}
        self.module.train()
        with precision.autocast(self.device):
            losses = self.family.training_step(batch, self.optimizers, self.step)
        means = torch.stack([loss.float() for loss in losses.values()])
        average(means)
        values = dict(zip(losses, means.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"{name} became {value} at step {self.step}, so the run stopped; its last checkpoint is from "
                    "before that. Lower the learning rates or the loss weights."
                )
        self.step += 1
        self._update_average()
        return values

    def _fuse(self, groups: list[dict[str, Any]]) -> None:
        """One kernel for a whole optimizer, where torch has one."""
        for group in groups:
            if "fused" in group:
                group["fused"] = self.device.type in ("cuda", "cpu")

    def _update_average(self) -> None:
        averaged = self._averaged_parameters()
        if not averaged:
            return
        if self.config.ema_width:
            decay = (1 - 1 / self.step) ** (power_of_width(self.config.ema_width) + 1)
        else:  # with the usual warm-up: early on the average must not remember the random start
            decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(
                [self.ema[name] for name in averaged], [value.detach() for value in averaged.values()], 1 - decay
            )

    def _averaged_parameters(self) -> dict[str, nn.Parameter]:
        prefixes = tuple(f"{module}." for module in self.family.ema_modules)
        return {name: value for name, value in self.module.named_parameters() if name.startswith(prefixes)}

    def _restore(self, resume: bool) -> None:
        state = from_first(lambda: load_latest_checkpoint(self.run_dir / "checkpoints"), CheckpointError)
        if state is None:
            return
        if not resume:
            raise CheckpointError(
                f"{self.run_dir} already holds a run at step {state['step']}: resume it or choose another folder"
            )
        family, config = type(self.module).__name__, dataclasses.asdict(self.family.config)
        different = [key for key in {**config, **state["config"]} if config.get(key) != state["config"].get(key)]
        if state["family"] != family or different:
            raise CheckpointError(
                f"{self.run_dir} holds a {state['family']} that cannot go on as this {family}; "
                f"settings that differ: {', '.join(different) or 'none'}"
            )
        self.step = state["step"]
        self.module.load_state_dict(state["model"])
        for name, optimizer in self.optimizers.items():
            self._fuse(state["optimizers"][name]["param_groups"])  # it may have been saved on another device
            optimizer.load_state_dict(state["optimizers"][name])
        for name, value in state["ema"].items():
            self.ema[name].copy_(value)
        self.loader.load_state_dict(state["loader"])
        _set_random_state(state["random"])

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Turns the first Ctrl-C or SIGTERM into a stop after the current step; a second one acts as usual."""

        def request_stop(number: int, frame: object) -> None:
            self._stop_signal = number
            for signum, handler in before.items():
                signal.signal(signum, handler)

        before: dict[signal.Signals, Any] = {}
        try:
            for signum in (signal.SIGINT, signal.SIGTERM):
                before[signum] = signal.signal(signum, request_stop)
        except ValueError:  # not in the main thread, where signals never arrive
            pass
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        # That of the GPU in use: with several processes each has its own, and all are in the same state.
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss),
    }


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][0])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
