"""Says how far a training is where there is no terminal to draw a bar on: a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping

from tqdm import tqdm

from generative_core.training.callbacks import Callback
from generative_core.training.protocols import Training

LINE_SECONDS = 60.0


def say(text: str) -> None:
    """Prints a line at once, unless the output is a terminal, where bars say it."""
    if not sys.stdout.isatty():
        print(text, flush=True)


def count_steps(steps: int, what: str, *, start: int = 0) -> Iterator[int]:
    """Counts from `start` to `steps`: with a bar on a terminal, and with a line a minute elsewhere."""
    due = time.monotonic() + LINE_SECONDS
    for step in tqdm(
        range(start, steps), desc=what, initial=start, total=steps, unit="step", leave=False, disable=None
    ):
        if time.monotonic() > due:
            say(f"{what}: step {step} of {steps}")
            due = time.monotonic() + LINE_SECONDS
        yield step


class ProgressLines(Callback):
    """Says the step and the time left, a line a minute."""

    def on_start(self, trainer: Training) -> None:
        self.started, self.first = time.monotonic(), trainer.step
        self.due = self.started + LINE_SECONDS
        say(f"Training from step {trainer.step} of {trainer.config.steps}.")

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now > self.due:
            self.due = now + LINE_SECONDS
            left = (now - self.started) / (trainer.step - self.first) * (trainer.config.steps - trainer.step)
            say(f"Step {trainer.step} of {trainer.config.steps}; {left / 60:.0f} minutes of all steps are left.")
