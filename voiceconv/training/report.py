"""Writes the report of a training run: settings, curves, and the last preview with players."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from generative_core.files import read_rows
from generative_core.report import Report


def write_run_report(run_dir: Path, score_meanings: Mapping[str, str], preview_title: str) -> None:
    """`report.html`: settings, loss and score curves, the last preview with spectrograms and players.

    `score_meanings` says what each score of `scores.jsonl` is, which ends in "/" and its name.
    """
    config = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    metrics, scores = read_rows(run_dir / "metrics.jsonl", "seconds"), read_rows(run_dir / "scores.jsonl")
    report = Report(f"Training run {run_dir.name}")
    if metrics:
        last = metrics[-1]
        minutes = last["seconds"] / 60
        report.text(f"Preset {config['settings']['preset']}: {last['step']} steps in {minutes:.0f} minutes.")
        for group in ("generator", "discriminator", "classifier", "gradient_norm"):
            names = [name for name in last if name.startswith(f"{group}/")]
            if names:
                report.figure(draw_curves(metrics, names), f"{group.replace('_', ' ').capitalize()}, by step")
    if scores:
        report.heading("Development speech")
        for key, meaning in score_meanings.items():
            names = [name for name in scores[-1] if name.split("/")[-1] == key]
            report.figure(draw_curves(scores, names), f"{key}: {meaning}")
    previews = sorted((run_dir / "previews").glob("step_*"))
    if previews:
        report.heading(preview_title)
        for audio in sorted(previews[-1].glob("*.flac")):
            report.audio(audio.read_bytes(), "audio/flac", audio.stem)
            with contextlib.suppress(OSError, SyntaxError, ValueError):  # the report does without a damaged picture
                report.figure(load_picture(audio.with_suffix(".png")), audio.stem)
    report.heading("Settings")
    report.table([[key, json.dumps(value)] for key, value in config["settings"].items()], ["setting", "value"])
    versions = config.get("versions")
    if isinstance(versions, dict):  # which nothing depends on, and a damaged file may lack
        report.table(list(versions.items()), ["software", "version"])
    report.save(run_dir / "report.html")


def draw_curves(rows: list[dict[str, float]], names: list[str]) -> Figure:
    """Some of the values in `rows` by step."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="." if len(points) < 50 else None)
    axes.set_xlabel("step")
    axes.legend(fontsize=7)
    return figure


def draw_mels(mels: Mapping[str, np.ndarray]) -> Figure:
    """Log-mels `(n_mels, frames)` under each other on one scale, with their names as titles."""
    figure = Figure(figsize=(7, 2.2 * len(mels)), layout="constrained")
    low, high = min(float(np.quantile(m, 0.02)) for m in mels.values()), max(float(m.max()) for m in mels.values())
    for axes, (name, mel) in zip(np.atleast_1d(figure.subplots(len(mels))), mels.items(), strict=True):
        axes.imshow(mel, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma")
        axes.set_title(name, fontsize=9)
        axes.set_ylabel("mel band")
        axes.set_xlabel("frame")
    return figure


def load_picture(path: Path) -> Figure:
    """A PNG file as a figure."""
    from matplotlib.image import imread

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(imread(path))
    axes.set_axis_off()
    return figure
