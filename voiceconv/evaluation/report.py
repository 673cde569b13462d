"""Writes the HTML page of an evaluation: for each direction a summary, plots, tables and a few clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from generative_core.report import Report
from voiceconv.audio.files import load_audio
from voiceconv.evaluation.rendering import audio_path
from voiceconv.evaluation.scores import CONVERTED, COPY, GROUND_TRUTH, SCORES, UNCONVERTED
from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import extract_f0
from voiceconv.features.spectrogram_plot import pitch_axis, plot_spectrogram

Record = dict[str, Any]

TABLES = {
    "voice and words": (
        "similarity to target",
        "similarity to source",
        "margin",
        "CER",
        "CER over copy-synthesis",
        "WER",
    ),
    "pitch": ("F0 offset", "F0 distance", "F0 correlation", "voiced share"),
    "sound": (
        "DNSMOS OVRL",
        "DNSMOS OVRL over copy-synthesis",
        "DNSMOS SIG",
        "DNSMOS BAK",
        "MCD-DTW",
        "MMD²",
    ),
}
PLOTS = {
    "similarity": ("similarity to target", "similarity to source"),
    "CER": ("CER",),
    "F0 off by, semitones": ("F0 offset",),
    "DNSMOS OVRL": ("DNSMOS OVRL",),
}
SOURCE_COLOR, TARGET_COLOR, CONVERTED_COLOR = "tab:orange", "tab:blue", "tab:green"


def make_page(record: Record, out: Path) -> Report:
    """`record` is that of `evaluation.json`; the sounds are taken from `out`, where the evaluation keeps them."""
    report = Report(f"The voice {record['voice']}, measured")
    report.text(
        f"Through the vocoder {record['vocoder']}. Means with the 95 % interval over clips; how to read the scores "
        "stands at the end."
    )
    for note in record["notes"]:
        report.text(note, tone="fair")
    for direction in record["directions"]:
        _add_direction(report, direction, out)
    report.heading("How to read the scores")
    report.table([[name, meaning] for name, meaning in SCORES.items()], ["score", "meaning"])
    report.table(_systems(record), ["system", "what it is"])
    report.heading("What was measured with")
    report.table([[key, _plain(value)] for key, value in record["settings"].items()], ["setting", "value"])
    report.table(list(record["versions"].items()), ["software", "version"])
    return report


def summary(direction: Record) -> str:
    """The scores of the conversion in sentences."""
    source, target, scores = direction["source"], direction["target"], direction["scores"]
    mine, before, real = (
        {name: value["mean"] for name, value in scores[system].items()}
        for system in (CONVERTED, UNCONVERTED, GROUND_TRUTH)
    )
    said = [
        f"Voice: {mine['similarity to target']:.2f} similar to {target} ({source} unconverted: "
        f"{before['similarity to target']:.2f}, {target}'s own clips: {real['similarity to target']:.2f}) and "
        f"{mine['similarity to source']:.2f} to {source}."
    ]
    if "CER over copy-synthesis" in mine:
        said.append(
            f"Words: {100 * mine['CER']:.1f} % of the characters are recognised wrongly, "
            f"{100 * mine['CER over copy-synthesis']:.1f} points more than in copy-synthesis."
        )
    if "F0 offset" in mine:
        correlation = f"{mine['F0 correlation']:.2f}" if "F0 correlation" in mine else "unknown"
        said.append(
            f"Pitch: {mine['F0 offset']:+.1f} semitones from {target}'s; its correlation with {source}'s melody is "
            f"{correlation}."
        )
    said.append(f"Sound: DNSMOS {mine['DNSMOS OVRL over copy-synthesis']:+.2f} against copy-synthesis.")
    return "\n".join(said)


def overview(direction: Record) -> Figure:
    """Mean and interval of the main scores, a line per system."""
    systems = direction["scores"]
    plots = [plot for plot in PLOTS.items() if any(plot[1][0] in scores for scores in systems.values())]
    figure = Figure(figsize=(11, 0.9 + 0.3 * len(systems)), layout="constrained")
    for axes, (label, names) in zip(figure.subplots(1, len(plots), sharey=True), plots, strict=True):
        for name, color, marker in zip(names, (TARGET_COLOR, SOURCE_COLOR), ("o", "D"), strict=False):
            rows = [(y, scores[name]) for y, scores in enumerate(systems.values()) if name in scores]
            middle = [score["mean"] for _, score in rows]
            ends = [[s["mean"] - s["low"] for _, s in rows], [s["high"] - s["mean"] for _, s in rows]]
            legend = name.removeprefix("similarity ") if len(names) > 1 else None
            axes.errorbar(middle, [y for y, _ in rows], xerr=ends, fmt=marker, color=color, markersize=5, label=legend)
        axes.set_xlabel(label)
        axes.set_yticks(range(len(systems)), list(systems))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        if len(names) > 1:
            axes.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        if label.startswith("F0"):
            axes.axvline(0, color="gray", linewidth=1)
    figure.axes[0].invert_yaxis()  # shared by all
    return figure


def spectrograms(sounds: dict[str, np.ndarray], config: MelConfig) -> Figure:
    """Waveforms `(T,)` by name, side by side, each with its pitch."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, (name, wav) in zip(np.atleast_1d(figure.subplots(1, len(sounds))), sounds.items(), strict=True):
        plot_spectrogram(axes, wav, extract_f0(wav, config.sample_rate, config.hop_length), config)
        axes.images[0].set_interpolation("none")  # the picture as it is, instead of one for each dot of a printer
        axes.set_title(name, fontsize="medium")
    return figure


def pitch_curves(sounds: dict[str, np.ndarray], config: MelConfig) -> Figure:
    """F0 of waveforms `(T,)` by name, on one axis."""
    figure = Figure(figsize=(11, 2.2), layout="constrained")
    axes = figure.subplots()
    for (name, wav), color in zip(sounds.items(), (SOURCE_COLOR, CONVERTED_COLOR), strict=True):
        f0 = extract_f0(wav, config.sample_rate, config.hop_length)
        times = (np.arange(len(f0)) + 0.5) * config.hop_length / config.sample_rate
        axes.plot(times, np.where(f0 > 0, f0, np.nan), color=color, label=name)
    pitch_axis(axes)
    axes.set_xlabel("time, s")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", ncols=2, frameon=False)
    return figure


def _add_direction(report: Report, direction: Record, out: Path) -> None:
    scores = direction["scores"]
    clips = len(direction["clips"]["source"])
    unseen = ", a speaker it was not trained on" if direction["unseen"] else ""
    report.heading(f"{direction['source']} to {direction['target']}: {clips} clips{unseen}")
    report.text(summary(direction))
    report.figure(overview(direction), "Means and 95 % intervals.")
    for table, names in TABLES.items():
        shown = [name for name in names if any(name in values for values in scores.values())]
        rows = [[system, *(_cell(values.get(name)) for name in shown)] for system, values in scores.items()]
        report.table(rows, [table, *shown])
    for index, reason in _examples(direction).items():
        _add_example(report, direction, index, reason, out)


def _examples(direction: Record) -> dict[int, str]:
    """The clips to play, by number, and why: an ordinary one and, of the voice's own speakers, the worst."""
    values = direction["scores"][CONVERTED]["similarity to target"]["values"]
    order = sorted(range(len(values)), key=lambda number: values[number])
    examples = {order[len(order) // 2]: "median similarity to the target"}
    if not direction["unseen"]:
        examples[order[0]] = "lowest similarity to the target"
    return examples


def _add_example(report: Report, direction: Record, index: int, reason: str, out: Path) -> None:
    source, target, way = direction["source"], direction["target"], f"{direction['source']} to {direction['target']}"
    clip, own = direction["clips"]["source"][index], direction["clips"]["target"][0]
    text, recognised = direction["texts"][index], direction["heard"]
    report.text(f"{clip}, {reason}" + (f": “{text}”" if text else ""))
    paths = {
        system: audio_path(out, f"{source if system in (UNCONVERTED, COPY) else way}/{system}", clip)
        for system in direction["scores"]
        if system != GROUND_TRUTH
    }
    real = audio_path(out, f"{target}/{UNCONVERTED}", own)

    def player(system: str, caption: str) -> None:
        words = recognised[system][index]
        report.audio(paths[system].read_bytes(), "audio/flac", caption + (f": “{words}”" if words else ""))

    player(UNCONVERTED, f"{source}, unconverted")
    player(CONVERTED, f"{source} converted to {target}")
    report.audio(real.read_bytes(), "audio/flac", f"{target}, in another clip")
    for system in paths:
        if system not in (UNCONVERTED, CONVERTED):
            player(system, system)
    config = MelConfig()
    sounds = {
        name: load_audio(path, config.sample_rate, loudness=None)
        for name, path in ((source, paths[UNCONVERTED]), ("converted", paths[CONVERTED]), (target, real))
    }
    report.figure(spectrograms(sounds, config), f"Mel-spectrograms with pitch; {target} in another clip.")
    report.figure(pitch_curves({k: sounds[k] for k in (source, "converted")}, config), "Pitch before and after.")


def _systems(record: Record) -> list[list[str]]:
    meanings = {
        GROUND_TRUTH: "The target's own clips; for MMD², one half of them against the other.",
        UNCONVERTED: "The source's clips as they are.",
        COPY: "The source's clips through mel-spectrogram and vocoder.",
        "pitch shift": "All pitch moved by the distance of the two speakers, through WORLD.",
        "mean and variance": "Every mel band and log F0 brought to the target's mean and variance, through WORLD.",
        CONVERTED: "The voice under test.",
    }
    present = {system for direction in record["directions"] for system in direction["scores"]}
    return [[system, meaning] for system, meaning in meanings.items() if system in present] + [
        [system, "Another voice between the same speakers."] for system in sorted(present - meanings.keys())
    ]


def _cell(score: Record | None) -> str | None:
    """Mean over interval; where the score cannot be said of every clip, also of how many it is."""
    if score is None:
        return None
    space = "\N{NO-BREAK SPACE}"
    lines = [f"{score['mean']:.3f}", f"{score['low']:.3f}{space}to{space}{score['high']:.3f}"]
    if score["n"] < len(score["values"]):
        lines.append(f"{score['n']} of {len(score['values'])} clips")
    return "\n".join(lines)


def _plain(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or None
    return None if value is None else str(value)
