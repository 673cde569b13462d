"""Watches a training: log files, a progress bar and warnings. The loop works without any of them."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from tqdm import tqdm

from generative_core.files import drop_rows_after
from generative_core.training.protocols import Training


class Callback:
    """Does nothing; override what is needed. `scalars` are the losses of the step that just ended."""

    def on_start(self, trainer: Training) -> None: ...

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None: ...

    def on_end(self, trainer: Training) -> None: ...


class MetricsLog(Callback):
    """Means over every `log_every` steps, with gradient norms and rates, to `metrics.jsonl` and TensorBoard.

    After a resume, what a killed process had logged beyond its last checkpoint is dropped: every step stands once.
    """

    def on_start(self, trainer: Training) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.window: dict[str, list[float]] = defaultdict(list)
        trainer.run_dir.mkdir(parents=True, exist_ok=True)
        self.path = trainer.run_dir / "metrics.jsonl"
        kept = drop_rows_after(self.path, trainer.step, "seconds")
        self.seconds = kept[-1]["seconds"] if kept else 0.0
        self.clock = time.monotonic()
        self.board = SummaryWriter(str(trainer.run_dir / "tensorboard"), purge_step=trainer.step + 1)

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self.window[name].append(value)
        if trainer.step % trainer.config.log_every:
            return
        row: dict[str, Any] = {"step": trainer.step, "seconds": self.seconds + time.monotonic() - self.clock}
        row |= {name: fmean(values) for name, values in self.window.items()}
        row |= {f"gradient_norm/{name}": value for name, value in trainer.gradient_norms().items()}
        row |= {f"rate/{name}": opt.param_groups[0]["lr"] for name, opt in trainer.optimizers.items()}
        self.window.clear()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            self.board.add_scalar(name, value, trainer.step)

    def on_end(self, trainer: Training) -> None:
        self.board.close()


class HealthWarnings(Callback):
    """Says while a run goes on that it goes wrong: a discriminator that is always right, samples all alike."""

    window = 200
    saturated = 0.98  # share of patches told apart; the generator then gets hardly any gradient
    collapsed = 0.2  # spread among generated samples, as a share of that among real ones

    def on_start(self, trainer: Training) -> None:
        self.history: dict[str, list[float]] = defaultdict(list)
        self.warned: set[str] = set()

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            if "/accuracy" in name or "/spread" in name:
                self.history[name].append(value)
        if trainer.step % self.window:
            return
        for name, values in self.history.items():
            mean = fmean(values)
            if "/accuracy" in name and mean > self.saturated:
                self._warn(name, trainer.step, f"tells {mean:.0%} apart: it is saturated, lower its rate or raise r1")
            if "/spread" in name and mean < self.collapsed:
                self._warn(name, trainer.step, f"is {mean:.0%} of the real samples': the generator is collapsing")
        self.history.clear()

    def _warn(self, name: str, step: int, problem: str) -> None:
        if name not in self.warned:
            self.warned.add(name)
            warnings.warn(f"step {step}: {name} {problem}", stacklevel=3)


class ProgressBar(Callback):
    """Steps, time left and the main loss, on a terminal only."""

    def on_start(self, trainer: Training) -> None:
        self.bar = tqdm(
            total=trainer.config.steps, initial=trainer.step, unit="step", disable=not sys.stderr.isatty(), leave=True
        )

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        self.bar.update()
        if trainer.step % 10 == 0:
            self.bar.set_postfix({k.split("/")[1]: f"{v:.3f}" for k, v in scalars.items() if k.endswith("/total")})

    def on_end(self, trainer: Training) -> None:
        self.bar.close()
