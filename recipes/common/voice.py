"""Trains a voice between speakers of a data set: the options and folders that the voice recipes share."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.training.train import train
from voiceconv.voice.speaker_info import SpeakerInfo


@dataclass(frozen=True)
class TrainingConfig:
    """What every voice recipe asks about the training."""

    run: Path | None = None
    """Folder for checkpoints, report and voice; runs/A-B unless given."""
    preset: str = "cpu"
    """A preset of `voiceconv presets`."""
    budget_minutes: float | None = None
    """Stop in time to be done after so many minutes."""
    resume: bool = False
    """Go on with a run that was stopped."""
    smoke: bool = False
    """Only check that everything runs, within seconds; on synthetic speech unless data is given."""


@dataclass(frozen=True)
class Recording:
    """One recording of a data set: a name of its own, the file, and what is said if that is known."""

    name: str
    path: Path
    text: str = ""


def link_recordings(recordings: Iterable[Recording], info: SpeakerInfo, folder: Path) -> Path:
    """Makes `folder` hold exactly these recordings, as links, beside what is known of the speaker (speaker.json).

    Their texts become an LJSpeech-style metadata.csv (`name|text`), for measuring what is left of the words.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "wavs").mkdir(parents=True)
    lines = []
    for recording in recordings:
        (folder / "wavs" / f"{recording.name}{recording.path.suffix}").symlink_to(recording.path.resolve())
        lines.append(f"{recording.name}|{' '.join(recording.text.replace('|', ' ').split())}\n")
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "speaker.json").write_text(json.dumps(asdict(info), indent=2, ensure_ascii=False), encoding="utf-8")
    return folder


def synthetic_speaker(folder: Path, f0: float, clips: int = 12, seconds: float = 1.75) -> Path:
    """Fills `folder` with clips of a hum at about `f0` Hz, for runs that only check that everything runs."""
    folder.mkdir(parents=True, exist_ok=True)
    sample_rate = 22050
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    random = np.random.default_rng(int(f0))
    for index in range(clips):
        contour = f0 * 2 ** (0.2 * np.sin(2 * np.pi * (0.5 + random.random()) * time))
        phase = 2 * np.pi * np.cumsum(contour) / sample_rate
        voiced = sum(np.sin(k * phase) / k for k in range(1, 20)) * (np.sin(np.pi * 3 * time) ** 2 + 0.05)
        wav = 0.1 * voiced + 0.002 * random.standard_normal(len(time))
        save_audio(folder / f"{folder.name}-{index}.wav", wav.astype(np.float32), sample_rate)
    return folder


def run_folder(names: Iterable[str], config: TrainingConfig) -> Path:
    """Where the run between these speakers lives."""
    return config.run or Path("runs") / "-".join(names)


def train_pair(folder_a: Path, folder_b: Path, config: TrainingConfig) -> None:
    """Trains between the speakers of two folders, which also name them, and leaves the voice in the run's folder."""
    run = run_folder((folder_a.resolve().name, folder_b.resolve().name), config)
    preset = "smoke" if config.smoke else config.preset
    budget = None if config.budget_minutes is None else 60 * config.budget_minutes
    finished = train(folder_a, folder_b, run, preset=preset, resume=config.resume, budget_seconds=budget)
    print(f"The voice is in {run / 'voice'}, the report in {run / 'report.html'}.")
    if not finished:
        print("It is not done: the same command with --resume goes on from here.")


def train_speakers(speakers: Mapping[SpeakerInfo, Sequence[Recording]], config: TrainingConfig) -> None:
    """Trains between two speakers of a data set; what is known about them goes into the voice."""
    if len(speakers) != 2:
        raise UserError("A pair is two different speakers, but both are the same.")
    run = run_folder((info.name for info in speakers), config)
    folder_a, folder_b = (
        link_recordings(recordings, info, run / "data" / info.name) for info, recordings in speakers.items()
    )
    train_pair(folder_a, folder_b, replace(config, run=run))


def smoke_without_data(config: TrainingConfig) -> None:
    """Trains for a moment between two synthetic speakers, and leaves nothing behind unless a run folder was given."""
    with tempfile.TemporaryDirectory() as scratch:
        low = synthetic_speaker(Path(scratch) / "low", 110.0)
        high = synthetic_speaker(Path(scratch) / "high", 210.0)
        train_pair(low, high, replace(config, run=config.run or Path(scratch) / "run"))
