"""Converts recordings: `voiceconv convert`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from voiceconv.cli.arguments import Text, number, option, whole_number, word
from voiceconv.convert.controls import MAX_FORMANT_SEMITONES as MOST
from voiceconv.convert.controls import Controls, Pitch
from voiceconv.convert.outputs import plan_outputs
from voiceconv.progress_line import ProgressLine

share = number("a number from 0 to 1", lambda value: 0 <= value <= 1)
formants = number(f"a number of semitones from -{MOST:g} to {MOST:g}", lambda value: abs(value) <= MOST)


def semitones(text: str) -> Pitch:
    """'auto' or a number."""
    try:
        return "auto" if text == "auto" else float(text)
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
    model: Annotated[Text, option("NAME_OR_FOLDER")] = None
    """The model that has this voice; `voiceconv voices` lists the models. Without it, one is found."""
    pitch: Annotated[Pitch, word(semitones, "auto|N"), option()] = "auto"
    """How many semitones above the voice's own pitch to speak. A negative number is below, and auto is 0."""
    strength: Annotated[float, word(share, "0..1"), option()] = 1.0
    """How far to go from your own voice, which is 0, to the other, which is 1."""
    melody: Annotated[float, word(share, "0..1"), option()] = 1.0
    """How much of the speaker's melody to keep. 0 speaks on one note."""
    formants: Annotated[float, word(formants, "N"), option()] = 0.0
    """Semitones to move the formants by. Above 0 the result sounds smaller, below 0 larger."""
    denoise: Annotated[bool, option()] = False
    """Remove steady background noise before converting."""
    vocoder: Annotated[Text, option("NAME")] = None
    """The vocoder: istft, hifigan, griffin-lim, or a folder. Without it, the best one that is installed."""
    jobs: Annotated[int, word(whole_number("a number of processes from 1 to 256", 1, 256), "N"), option()] = 1
    """How many recordings of a folder to convert at the same time."""

    def run(self) -> int:
        pairs = plan_outputs(self.source, self.output)
        from voiceconv.convert.folder import Request, convert_folder, convert_one

        controls = Controls(self.pitch, self.strength, self.melody, self.formants, self.denoise)
        request = Request(self.model, self.to, controls, self.vocoder)
        if self.source.is_dir():
            return convert_folder(self.source, self.output, pairs, request, self.jobs)
        converter, started = request.load(), time.perf_counter()
        ((source, output),) = pairs
        sound = convert_one(converter, request, source, output, ProgressLine())
        print(f"{source} -> {output} ({sound:.1f} s in {time.perf_counter() - started:.1f} s)")
        return 0
