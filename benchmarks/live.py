"""Measures the latency and the load of live conversion on one core.

    python -m benchmarks.live --model allison-joe

Pushes recordings block by block, as a sound device would, and times each block. Latency follows from how far windows
and networks look ahead, and does not depend on the machine. A device's own buffers and one block come on top.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro

from voiceconv.cli.terminal import run_in_terminal
from voiceconv.convert.converter import VoiceConverter


@dataclass(frozen=True)
class Config:
    """Measures live conversion."""

    model: str = "allison-joe"
    """Name or folder of the voice."""
    vocoder: str | None = None
    """Name or folder; the best there is by default."""
    seconds: float = 20.0
    """Length of the sound that is converted; what is said does not matter for the time."""
    blocks: tuple[int, ...] = (256, 512, 1024)
    """Samples at a time."""


def run(config: Config) -> int:
    torch.set_num_threads(1)
    converter = VoiceConverter.from_pretrained(config.model, vocoder=config.vocoder, device="cpu")
    rate = converter.sample_rate
    wav = 0.1 * np.random.default_rng(0).standard_normal(round(config.seconds * rate)).astype(np.float32)
    print("| to | block | latency | busy | median block | 99th percentile |\n|---|---|---|---|---|---|")
    for target in converter.voices:
        for block in config.blocks:
            live, times = converter.stream(target), []
            for position in range(0, len(wav), block):
                started = time.perf_counter()
                live.push(wav[position : position + block])
                times.append(time.perf_counter() - started)
            times = times[len(times) // 10 :]  # the first ones warm up
            busy, size = np.mean(times) * rate / block, f"{block} ({1000 * block / rate:.0f} ms)"
            latency, median, late = (1000 * t for t in (live.latency, np.median(times), np.quantile(times, 0.99)))
            print(f"| {target} | {size} | {latency:.0f} ms | {busy:.0%} | {median:.1f} ms | {late:.1f} ms |")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_in_terminal(lambda: run(tyro.cli(Config))))
