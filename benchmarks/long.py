"""Measures the memory and time that long recordings take: `python -m benchmarks.long --minutes 1 10 180`.

Repeated speech makes a recording of each length. `voiceconv convert` converts it in a process of its own. The exit
status is 1 if the longest needs more than `--may-grow` MiB beyond the shortest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from voiceconv.audio.files import audio_writer, load_audio
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError
from voiceconv.voice.voice import Voice


@dataclass(frozen=True)
class Config:
    """Which lengths to convert, with which voice."""

    minutes: tuple[float, ...] = (1.0, 10.0)
    """Lengths of the recordings."""
    model: str = "allison-joe"
    """Name or folder of the voice; its own examples are what is spoken."""
    extension: str = "wav"
    """Of recording and result: wav, flac or ogg."""
    may_grow: float = 300.0
    """MiB."""


def write_speech(voice: Voice, path: Path, minutes: float) -> None:
    """The first speaker's examples again and again, a minute at a time."""
    rate = voice.mel.sample_rate
    clips = np.concatenate([load_audio(clip, rate) for clip in voice.examples[voice.names[0]]])
    samples = round(minutes * 60 * rate)
    with audio_writer(path, rate) as write:
        for start in range(0, samples, 60 * rate):
            write(clips[np.arange(start, min(start + 60 * rate, samples)) % len(clips)])


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a command; raises `UserError` with what it said if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise UserError(f"The conversion failed: {said.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024  # what `ru_maxrss` counts in
    return time.perf_counter() - started, usage.ru_maxrss * unit / 2**20


def main(config: Config) -> int:
    """Prints a row for each length; 1 if memory grew."""
    voice = Voice.load(config.model)
    print("| recording (min) | took (s) | real-time factor | peak memory (MiB) |\n|---|---|---|---|")
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="long-") as folder:
        source, output = (Path(folder) / f"{name}.{config.extension}" for name in ("in", "out"))
        for minutes in config.minutes:
            write_speech(voice, source, minutes)
            words = ["convert", str(source), str(output), "--to", voice.names[1], "--model", config.model]
            seconds, peaks[minutes] = measure([sys.executable, "-m", "voiceconv", *words])
            print(f"| {minutes:g} | {seconds:.0f} | {seconds / minutes / 60:.3f} | {peaks[minutes]:.0f} |", flush=True)
    grown = peaks[max(peaks)] - peaks[min(peaks)]
    print(f"\nThe longest needs {grown:.0f} MiB more than the shortest.")
    return 1 if grown > config.may_grow else 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
