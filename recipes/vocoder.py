"""Trains a vocoder, which turns mel-spectrograms into sound, from any recordings.

    python -m recipes.vocoder --data my_recordings --run runs/vocoder

`my_recordings` holds a folder per speaker, or recordings of one speaker. More speakers and more hours of clean speech
give better results. The result is a folder that `voiceconv convert --vocoder` takes. To fine-tune it to one pair of
speakers, continue with their recordings alone, and with mels like those of their converter:

    python -m recipes.vocoder --data my_pair --run runs/vocoder-pair --start-from runs/vocoder --mels-from VOICE

Should reach: about the quality given in docs/vocoder.md. The preset `cpu` took an hour on one core, and the fine-tuning
75 minutes; `gpu` is larger. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recipes.common.command import run_recipe
from recipes.common.voice import synthetic_speaker
from voiceconv.errors import UserError
from voiceconv.vocoder_training.train import train_vocoder


@dataclass(frozen=True)
class VocoderConfig:
    """Folders of recordings, and how to train."""

    data: Path | None = None
    """Folder that holds one folder of recordings per speaker, or recordings."""
    run: Path | None = None
    """Folder for checkpoints, report and vocoder; runs/vocoder unless given."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size and schedule of the networks."""
    budget_minutes: float | None = None
    """Stop in time to be done after so many minutes."""
    resume: bool = False
    """Go on with a run that was stopped."""
    start_from: str | None = None
    """Fine-tune the vocoder of this name or in this folder."""
    mels_from: str | None = None
    """Name or folder of the voice of these speakers, to learn from its converted mels too."""
    smoke: bool = False
    """Only check that everything runs, within seconds; on synthetic speech unless data is given."""


def main(config: VocoderConfig) -> None:
    if config.data is not None:
        return train(speaker_folders(config.data), config.run or Path("runs") / "vocoder", config)
    if not config.smoke:
        raise UserError("Say where the recordings are: --data FOLDER, with one folder per speaker in it.")
    with tempfile.TemporaryDirectory() as scratch:
        speech = synthetic_speaker(Path(scratch) / "hum", 140.0)
        return train([speech], config.run or Path(scratch) / "run", config)


def train(folders: list[Path], run: Path, config: VocoderConfig) -> None:
    finished = train_vocoder(
        folders,
        run,
        preset="smoke" if config.smoke else config.preset,
        resume=config.resume,
        budget_seconds=None if config.budget_minutes is None else 60 * config.budget_minutes,
        start_from=config.start_from,
        mels_from=config.mels_from,
    )
    print(f"The vocoder is in {run / 'vocoder'}, the report in {run / 'report.html'}.")
    if not finished:
        print("It is not done: the same command with --resume goes on from here.")


def speaker_folders(data: Path) -> list[Path]:
    """The folders in `data`, each of one speaker; `data` itself where it has none."""
    if not data.is_dir():
        raise UserError(f"{data} is not a folder. Give one that holds recordings, or a folder of them per speaker.")
    return sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")) or [data]


if __name__ == "__main__":
    sys.exit(run_recipe(VocoderConfig, main, __doc__))
