"""Trains a voice from recordings of two speakers: `voiceconv train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress

from voiceconv.cli.arguments import Budget, Resume, Seed, Text, option


@dataclass(frozen=True)
class Train:
    """Train a voice that converts between two speakers, from a folder of recordings of each."""

    folder_a: Annotated[Positional[Path], option("DIR_A")]
    """Recordings of one speaker."""
    folder_b: Annotated[Positional[Path], option("DIR_B")]
    """Recordings of the other speaker."""
    run_folder: Annotated[Path, option("RUN", name="run")]
    """The folder for checkpoints, the report and the voice."""
    preset: Annotated[str, option("NAME")] = "cpu"
    """A preset of `voiceconv presets`. Each of its settings is an option too, such as --cyclegan.lambda-cycle 3."""
    resume: Resume = False
    start_from: Annotated[Text, option("VOICE", name="from")] = None
    """Start from the weights of this voice. With --preset cpu-from it takes less data and half of the time."""
    budget: Budget = None
    seed: Seed = 0
    settings: Suppress[Any] = None  # of the preset, some of them changed: `with_settings` makes them options

    def run(self) -> int:
        def training() -> bool:
            from voiceconv.training.train import train

            return train(
                self.folder_a,
                self.folder_b,
                self.run_folder,
                preset=self.preset,
                settings=self.settings,
                resume=self.resume,
                budget_seconds=self.budget,
                seed=self.seed,
                start_from=self.start_from,
            )

        return work_on(self.run_folder, training, "voice")


def work_on(folder: Path, training: Callable[[], bool], made: str) -> int:
    """Runs a training that leaves `made` in its run folder, which no other process may use; the exit status."""
    from voiceconv.training.jobs import at_work_on

    finished = at_work_on(folder, training)
    print(f"The {made} is in {folder / made}, the report in {folder / 'report.html'}.")
    if not finished:
        print("It is not done: the same command with --resume goes on from here.")
    return 0
