"""Draws the scores of trainings against minutes: `python -m benchmarks.learning_curves RUN... [--out FILE]`.

Each RUN is a run folder of `voiceconv train`. Minutes are those of its steps and previews. The time before the first
step, in which recordings and pairs are prepared, does not count.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure

from generative_core.files import read_rows
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError

SHOWN = {"score": "score", "voice": "voice", "phoneme_errors": "phoneme errors", "confusion": "confusion"}


@dataclass(frozen=True)
class Config:
    """Draws the scores of runs against minutes."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders of `voiceconv train`."""
    out: Path = Path("learning_curves.webp")
    """Where the picture goes."""


def curves(run: Path) -> dict[str, tuple[list[float], list[float]]]:
    """For each score, named by way where it has one: minutes and values."""
    metrics, scores = read_rows(run / "metrics.jsonl", "seconds"), read_rows(run / "scores.jsonl")
    if not metrics or not scores:
        raise UserError(f"{run} has no metrics.jsonl and scores.jsonl with rows: give a run folder after a preview.")
    steps, minutes = [row["step"] for row in metrics], [row["seconds"] / 60 for row in metrics]
    at = [float(np.interp(row["step"], steps, minutes)) for row in scores]
    return {name: (at, [row[name] for row in scores]) for name in scores[-1] if name.split("/")[-1] in SHOWN}


def main(config: Config) -> int:
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = dict(zip(SHOWN, figure.subplots(2, 2, sharex=True).flat, strict=True))
    for run in config.runs:
        for name, (minutes, values) in curves(run).items():
            way, score = name.rpartition("/")[::2]
            axes[score].plot(minutes, values, marker=".", label=way or run.name)
    for score, title in SHOWN.items():
        axes[score].set_title(title)
        axes[score].legend(fontsize=7)
        axes[score].set_xlabel("minutes")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
