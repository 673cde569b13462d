"""Converts recordings: `voiceconv convert`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from voiceconv.cli.arguments import Text, option, whole_number, word
from voiceconv.convert.outputs import plan_outputs
from voiceconv.progress_line import ProgressLine


def semitones(text: str) -> float | str:
    """'auto' or a number."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither 'auto' nor a number of semitones such as -3") from None


@dataclass(frozen=True)
class Convert:
    """Convert a recording, or a folder of recordings, to another voice."""

    source: Annotated[Positional[Path], option("IN")]
    """An audio file, or a folder with audio files."""
    output: Annotated[Positional[Path], option("OUT")]
    """An audio file (.wav, .flac or .ogg) or a folder. If IN is a folder, OUT gets the same tree of files."""
    to: Annotated[str, option("VOICE")]
    """The voice to convert to, such as joe."""
    model: Annotated[str, option("NAME_OR_FOLDER")] = "allison-joe"
    """The model that has this voice. `voiceconv voices` lists the models."""
    pitch: Annotated[float | str, word(semitones, "auto|N"), option()] = "auto"
    """How many semitones above the voice's own pitch to speak. A negative number is below, and auto is 0."""
    vocoder: Annotated[Text, option("NAME")] = None
    """The vocoder: istft, hifigan, griffin-lim, or a folder. Without it, the best one that is installed."""
    jobs: Annotated[int, word(whole_number("a number of processes from 1 to 256", 1, 256), "N"), option()] = 1
    """How many recordings of a folder to convert at the same time."""

    def run(self) -> int:
        pairs = plan_outputs(self.source, self.output)
        from voiceconv.convert.folder import Request, convert_folder, convert_one

        request = Request(self.model, self.to, self.pitch, self.vocoder)
        if self.source.is_dir():
            return convert_folder(self.source, self.output, pairs, request, self.jobs)
        converter, started = request.load(), time.perf_counter()
        ((source, output),) = pairs
        sound = convert_one(converter, request, source, output, ProgressLine())
        print(f"{source} -> {output} ({sound:.1f} s in {time.perf_counter() - started:.1f} s)")
        return 0
