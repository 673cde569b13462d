"""Trains a vocoder from recordings of any speakers: `voiceconv train-vocoder`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress

from voiceconv.cli.arguments import Budget, Resume, Seed, Text, option
from voiceconv.cli.train import work_on


@dataclass(frozen=True)
class TrainVocoder:
    """Train a vocoder, which turns mel-spectrograms back into sound, from folders of speech."""

    folders: Annotated[Positional[tuple[Path, ...]], option("DIR [DIR ...]")]
    """Recordings, with one folder for each speaker."""
    run_folder: Annotated[Path, option("RUN", name="run")]
    """The folder for checkpoints, the report and the vocoder."""
    preset: Annotated[str, option("NAME")] = "cpu"
    """A preset of `voiceconv presets --vocoder`. Each of its settings is an option too, such as --lambda-mel 30."""
    resume: Resume = False
    start_from: Annotated[Text, option("FOLDER", name="from")] = None
    """Fine-tune this vocoder instead of starting with random weights."""
    mels_from: Annotated[Text, option("VOICE")] = None
    """Learn from mel-spectrograms that this voice's converter makes of the recordings, too."""
    budget: Budget = None
    seed: Seed = 0
    settings: Suppress[Any] = None  # of the preset, some of them changed: `with_settings` makes them options

    def run(self) -> int:
        def training() -> bool:
            from voiceconv.vocoder_training.train import train_vocoder

            return train_vocoder(
                self.folders,
                self.run_folder,
                preset=self.preset,
                settings=self.settings,
                resume=self.resume,
                budget_seconds=self.budget,
                seed=self.seed,
                start_from=self.start_from,
                mels_from=self.mels_from,
            )

        return work_on(self.run_folder, training, "vocoder")
