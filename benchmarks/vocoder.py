"""Measures the speed of vocoders and the quality of copy-synthesis through them, side by side in one run.

    python -m benchmarks.vocoder --data DATA/allison DATA/joe --vocoders istft hifigan griffin-lim --out results

Speed: each vocoder in a process of its own, after one synthesis to warm up; times are the median of `--repeats`, memory
is the peak of the whole process. Quality: recordings after mel-spectrogram and vocoder against themselves, mean and
95 % interval over clips. Where a vocoder lists held-out recordings of a folder, only those are used; a folder that it
does not name was not in its training. Writes `vocoder.md`, `vocoder.json` and `spectrograms.png` (two seconds of each
folder, as recorded and through each vocoder) into `--out`.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.conversion import peak_memory
from voiceconv.audio.files import find_audio, load_audio
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError
from voiceconv.evaluation import metrics
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import extract_f0, f0_correlation
from voiceconv.vocoder.base import Vocoder, load_vocoder
from voiceconv.vocoder_training.losses import log_mel_distance, stft_distance

Wav = NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """Measures speed, memory and copy-synthesis of vocoders."""

    data: tuple[Path, ...]
    """Folders of recordings, one per speaker."""
    out: Path
    """Folder for the results."""
    vocoders: tuple[str, ...] = ("istft", "hifigan", "griffin-lim")
    """Names, or folders of vocoders."""
    clips: int = 20
    """Recordings per folder."""
    seconds: tuple[float, float] = (1.5, 8.0)
    """Shortest and longest recording taken."""
    speed_seconds: float = 10.0
    """Length of the clip that is timed."""
    repeats: int = 9
    """Syntheses of which the median is taken."""


class Speed(NamedTuple):
    """What one process measured."""

    seconds: float
    real_time: float
    peak_bytes: int
    threads: int


def measure_speed(name: str, length: float, repeats: int) -> Speed:
    """Synthesises `length` seconds; to be called in a process of its own."""
    config = MelConfig()
    vocoder = load_vocoder(name, config)
    # The work depends on the length, not on what is said.
    frames = round(length * config.sample_rate / config.hop_length)
    mel = torch.randn(1, config.n_mels, frames, generator=torch.Generator().manual_seed(0)) - 5
    vocoder(mel)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        vocoder(mel)
        times.append(time.perf_counter() - started)
    median = statistics.median(times)
    return Speed(median, length / median, peak_memory(), torch.get_num_threads())


def choose_clips(folder: Path, vocoders: list[Vocoder], config: Config) -> dict[str, Wav]:
    """Recordings of a folder, each `(T,)`, that no vocoder was trained on, spread evenly over them."""
    name = folder.resolve().name
    paths = {f"{name}/{path.relative_to(folder).as_posix()}": path for path in find_audio(folder)}
    for vocoder in vocoders:
        kept = getattr(vocoder, "metadata", {}).get("development", [])
        if any(path.startswith(f"{name}/") for path in kept):
            paths = {key: path for key, path in paths.items() if key in kept}
    rate = MelConfig().sample_rate
    wavs = {key: load_audio(path, rate) for key, path in sorted(paths.items())}
    shortest, longest = (seconds * rate for seconds in config.seconds)
    fitting = [key for key, wav in wavs.items() if shortest <= len(wav) <= longest]
    if not fitting:
        raise UserError(
            f"{folder} has no recording of {config.seconds[0]:g} to {config.seconds[1]:g} s kept from training."
        )
    chosen = np.unique(np.linspace(0, len(fitting) - 1, min(config.clips, len(fitting))).round().astype(int))
    return {fitting[i]: wavs[fitting[i]] for i in chosen}


def score(vocoder: Vocoder, wav: Wav) -> dict[str, float]:
    """Copy-synthesis of `(T,)` against itself."""
    mel = vocoder.mel
    to_mel = MelSpectrogram(mel)
    wav = wav[: len(wav) // mel.hop_length * mel.hop_length]
    real = torch.from_numpy(wav)
    real_mel = to_mel(real)
    fake = vocoder(real_mel[None])[0]
    fake_mel, again = to_mel(fake), fake.numpy()
    f0, wanted = (extract_f0(x, mel.sample_rate, mel.hop_length) for x in (again, wav))
    return {
        "PESQ": metrics.pesq(again, wav, mel.sample_rate),
        "STOI": metrics.stoi(again, wav, mel.sample_rate),
        "MCD (dB)": metrics.mcd_dtw(fake_mel.numpy(), real_mel.numpy()),
        "log-mel distance": log_mel_distance(fake_mel, real_mel),
        "STFT distance": stft_distance(fake, real),
        "F0 correlation": f0_correlation(f0, wanted),
        "voiced share": float((f0 > 0).sum() / max(1, (wanted > 0).sum())),
    }


def interval(values: list[float]) -> metrics.Interval | None:
    """Mean and interval over the clips for which the score is defined."""
    known = np.array([value for value in values if np.isfinite(value)])
    return metrics.bootstrap_interval(known) if len(known) else None


def quality_table(title: str, scores: dict[str, list[dict[str, float]]]) -> str:
    """A row per vocoder, mean and interval of each score."""
    columns = list(next(iter(scores.values()))[0])
    n_clips = len(next(iter(scores.values())))
    lines = [
        f"### {title}, {n_clips} clips",
        "",
        f"| vocoder | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name, clips in scores.items():
        intervals = [interval([clip[column] for clip in clips]) for column in columns]
        cells = [f"{i.mean:.3f} ({i.low:.3f} to {i.high:.3f})" if i else "-" for i in intervals]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def speed_table(config: Config) -> tuple[str, dict[str, Speed]]:
    """A row per vocoder, one after the other on the same machine."""
    context = multiprocessing.get_context("spawn")  # a forked process would count the parent's memory as its own
    speeds = {}
    for name in config.vocoders:
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            speeds[name] = pool.submit(measure_speed, name, config.speed_seconds, config.repeats).result()
    slowest = speeds.get("hifigan")
    lines = [
        f"### Speed on {config.speed_seconds:g} s, {platform.machine()}, {platform.system()}",
        "",
        "| vocoder | seconds | times real time | times hifigan | peak memory (MiB) | threads |",
        "|---|---|---|---|---|---|",
    ]
    for name, s in speeds.items():
        ratio = f"{slowest.seconds / s.seconds:.1f}" if slowest else "-"
        cells = [f"{s.seconds:.3f}", f"{s.real_time:.0f}", ratio, f"{s.peak_bytes / 2**20:.0f}", str(s.threads)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""]), speeds


@torch.no_grad()
def spectrograms(clips: dict[str, Wav], vocoders: dict[str, Vocoder]) -> Figure:
    """The first two seconds of each clip `(T,)`, and after each vocoder: linear in frequency, where stripes, buzz and
    missing highs show."""
    figure = Figure(figsize=(4 * (1 + len(vocoders)), 2.6 * len(clips)), layout="constrained")
    axes = figure.subplots(len(clips), 1 + len(vocoders), squeeze=False)
    rate = MelConfig().sample_rate
    for row, (speaker, wav) in zip(axes, clips.items(), strict=True):
        wav = wav[: 2 * rate]
        made = {name: v(MelSpectrogram(v.mel)(torch.from_numpy(wav))[None])[0].numpy() for name, v in vocoders.items()}
        for plot, (name, sound) in zip(row, {"recording": wav, **made}.items(), strict=True):
            plot.specgram(sound + 1e-6, NFFT=1024, noverlap=896, Fs=rate, vmin=-140, vmax=-30, cmap="magma")
            plot.set_title(f"{speaker}: {name}", fontsize=9)
            plot.set_yticks([0, 4000, 8000])
    return figure


def main(config: Config) -> int:
    """Prints the tables and writes the files."""
    vocoders = [load_vocoder(name, MelConfig()) for name in config.vocoders]
    clips = {folder.resolve().name: choose_clips(folder, vocoders, config) for folder in config.data}
    speed, speeds = speed_table(config)
    tables, results = [speed], {}
    for speaker, wavs in clips.items():
        scores = {}
        for name, vocoder in zip(config.vocoders, vocoders, strict=True):
            print(f"{speaker}: {name}", file=sys.stderr, flush=True)
            scores[name] = [score(vocoder, wav) for wav in wavs.values()]
        tables.append(quality_table(speaker, scores))
        results[speaker] = {"clips": list(wavs), "scores": scores}
    document = "\n".join(tables)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "vocoder.md").write_text(document, encoding="utf-8")
    first = {speaker: next(iter(wavs.values())) for speaker, wavs in clips.items()}
    spectrograms(first, dict(zip(config.vocoders, vocoders, strict=True))).savefig(config.out / "spectrograms.png")
    record = {"speed": {name: s._asdict() for name, s in speeds.items()}, "quality": results}
    (config.out / "vocoder.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(document)
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
