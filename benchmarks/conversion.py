"""Measures how long a conversion takes and how much memory: `python -m benchmarks.conversion [--model NAME_OR_FOLDER]`.

Each row is measured in a fresh process, after one conversion to warm up. Times are the median of `--repeats`. The
real-time factor is seconds of work per second of sound. Memory is the peak of the whole process, which holds Python,
torch and the models.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import tyro

from voiceconv.cli.terminal import run_in_terminal


@dataclass(frozen=True)
class Config:
    """Measures seconds and peak memory of converting clips of several lengths, per vocoder."""

    model: str = "allison-joe"
    """Name or folder of the voice."""
    vocoders: tuple[str, ...] = ("istft", "griffin-lim", "hifigan")
    """Which vocoders to measure."""
    lengths: tuple[float, ...] = (10.0, 60.0)
    """Lengths of the clips in seconds."""
    repeats: int = 5
    """Conversions of which the median is taken."""
    device: str = "cpu"
    """cpu, cuda, mps, or auto."""


class Measurement(NamedTuple):
    """What one process measured."""

    load_seconds: float
    convert_seconds: float
    peak_bytes: int
    threads: int


def measure(model: str, vocoder: str, length: float, repeats: int, device: str) -> Measurement:
    """Loads the voice and converts a clip of `length` seconds; to be called in a process of its own."""
    started = time.perf_counter()
    import numpy as np
    import torch

    from voiceconv.convert.converter import VoiceConverter

    converter = VoiceConverter.from_pretrained(model, vocoder=vocoder, device=device)
    loaded = time.perf_counter() - started
    # A buzz that comes and goes as syllables do: the work depends on the length, hardly on what is said.
    seconds = np.arange(round(length * converter.sample_rate)) / converter.sample_rate
    wav = (0.2 * (2 * (120 * seconds % 1) - 1) * np.sin(2 * np.pi * 2 * seconds) ** 2).astype(np.float32)
    target = converter.voices[-1]
    converter.convert(wav, target=target)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        converter.convert(wav, target=target)
        times.append(time.perf_counter() - started)
    return Measurement(loaded, statistics.median(times), peak_memory(), torch.get_num_threads())


def peak_memory() -> int:
    """Bytes of memory that this process held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(config: Config) -> int:
    """Prints the table, row by row."""
    # `spawn`: a forked process would count the parent's memory as its own.
    context = multiprocessing.get_context("spawn")
    print(f"Voice {config.model} on {platform.machine()}, {platform.system()}, Python {platform.python_version()}\n")
    print("| vocoder | clip (s) | load (s) | convert (s) | real-time factor | peak memory (MiB) | threads |")
    print("|---|---|---|---|---|---|---|")
    for vocoder in config.vocoders:
        for length in config.lengths:
            with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
                job = pool.submit(measure, config.model, vocoder, length, config.repeats, config.device)
                m = job.result()
            print(
                f"| {vocoder} | {length:g} | {m.load_seconds:.2f} | {m.convert_seconds:.2f} "
                f"| {m.convert_seconds / length:.3f} | {m.peak_bytes / 2**20:.0f} | {m.threads} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
