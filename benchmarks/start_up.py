"""Measures how long commands take to start, beside what importing torch and torchaudio takes in the same run.

    python -m benchmarks.start_up

Every line is a new process, in turn, and the median of some rounds. The page counts from the command to its first
answer. The conversion itself is timed in a process that has converted before.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import tyro

from voiceconv.cli.terminal import run_in_terminal

CONVERSION = """
import sys, time
from voiceconv import VoiceConverter, load_audio
converter = VoiceConverter.from_pretrained("allison-joe")
wav = load_audio(sys.argv[1], converter.sample_rate)
converter.convert(wav, target="joe")
started = time.perf_counter()
converter.convert(wav, target="joe")
print(time.perf_counter() - started)
"""


@dataclass(frozen=True)
class Config:
    """Measures how long commands take to start."""

    rounds: int = 5
    """How often each is started."""
    seconds: float = 5.0
    """Length of the clip that is converted."""


def python(*words: object) -> float:
    """Seconds that a Python with these arguments takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def page() -> float:
    """Seconds from `voiceconv app` to the page's first answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "-m", "voiceconv", "app", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
                break
            except urllib.error.URLError:
                if process.poll() is not None:
                    raise RuntimeError("the page did not open") from None
                time.sleep(0.02)
        taken = time.perf_counter() - started
        os.kill(process.pid, signal.SIGTERM)
    return taken


def run(config: Config) -> int:
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "in.wav", Path(folder) / "out.wav"
        noise = 0.1 * np.random.default_rng(0).standard_normal(round(22_050 * config.seconds))
        soundfile.write(clip, noise, 22_050)

        def conversion() -> float:
            words = [sys.executable, "-c", CONVERSION, str(clip)]
            return float(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)

        measured: dict[str, Callable[[], float]] = {
            "import torch, torchaudio": lambda: python("-c", "import torch, torchaudio"),
            "voiceconv --help": lambda: python("-m", "voiceconv", "--help"),
            f"converting {config.seconds:g} s, without the start": conversion,
            f"voiceconv convert, {config.seconds:g} s": lambda: python(
                "-m", "voiceconv", "convert", clip, output, "--to", "joe"
            ),
            "voiceconv app, to its first answer": page,
        }
        taken: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(config.rounds):
            for name, measure in measured.items():
                taken[name].append(measure())
                output.unlink(missing_ok=True)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    reference = medians["import torch, torchaudio"]
    print("| in a new process | seconds | times the import of torch |\n|---|---|---|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.2f} | {seconds / reference:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_in_terminal(lambda: run(tyro.cli(Config))))
