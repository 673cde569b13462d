"""Measures how much speech a pair needs that starts from a voice: `python -m benchmarks.minutes_of_data DIR_A DIR_B`.

`--voice` is a voice of the two speakers, and `--start` a voice of others. For each number of minutes, recordings are
drawn from those that `--voice` was trained on, a pair is trained on them from `--start`, as `voiceconv train --from`
does, and all voices are evaluated on the clips that `--voice` was not trained on. What is finished is kept in `--out`,
and the same command continues from there.
"""

from __future__ import annotations

import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError
from voiceconv.evaluation.evaluate import Settings, evaluate, markdown
from voiceconv.evaluation.held_out_clips import Folder, held_out, load_split, seconds_in
from voiceconv.training.train import train
from voiceconv.voice.voice import Voice


@dataclass(frozen=True)
class Config:
    """Trains pairs on a few minutes of speech and evaluates them beside the voice that was trained on all of it."""

    folders: Annotated[tuple[Path, Path], tyro.conf.Positional]
    """Recordings of both speakers."""
    voice: str = "allison-joe"
    """A voice of these speakers."""
    start: str = "allison-carlo"
    """The voice whose weights the training starts from."""
    minutes: tuple[float, ...] = (1, 3, 10)
    """Of each speaker."""
    preset: str = "cpu-from"
    language: str = "en"
    """What both speak."""
    clips: int = 20
    """To evaluate, of each speaker."""
    seconds: tuple[float, float] = (1.5, 10.0)
    """Shortest and longest of these clips."""
    out: Path = Path("runs/minutes")
    """For the recordings, the runs and the report."""


def draw(folder: Path, without: list[str], minutes: float, out: Path) -> None:
    """Copies recordings of `folder` to `out`, at random, until they last `minutes`; more minutes hold those of fewer.

    Raises `UserError` if there are not so many minutes besides the recordings `without`.
    """
    recordings = Folder(folder, None).recordings()
    names = sorted(recordings.keys() - set(without))
    random.Random(0).shuffle(names)
    drawn = 0.0
    for name in names:
        if drawn >= minutes * 60:
            break
        drawn += seconds_in(recordings[name])
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(recordings[name], out / name)  # with its time, by which features are found again
    if drawn < minutes * 60:
        raise UserError(f"{folder} has {drawn / 60:.1f} minutes that may be trained on, and {minutes:g} are wanted.")


def main(config: Config) -> int:
    voice = Voice.load(config.voice)
    split = load_split(None, voice.metadata, voice.name)
    runs = []
    for minutes in config.minutes:
        run = config.out / f"{minutes:g}-minutes"
        speech = []
        for folder in config.folders:
            speaker, aside = held_out(Folder(folder, None), split)
            speech.append(run / "speech" / speaker)  # a folder's name is its speaker's to the training
            draw(folder, aside, minutes, speech[-1])
        train(speech[0], speech[1], run, preset=config.preset, start_from=config.start, resume=True)
        runs.append(str(run))
    source, target = (Folder(folder, config.language) for folder in config.folders)
    record = evaluate(
        Settings(
            model=config.voice,
            source=source,
            target=target,
            out=config.out / "report",
            baselines=tuple(runs),
            clips=config.clips,
            seconds=config.seconds,
        )
    )
    print("\n\n".join(markdown(direction) for direction in record["directions"]))
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
