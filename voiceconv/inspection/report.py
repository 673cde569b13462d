"""Draws the plots of an inspection and saves the HTML page that shows them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from generative_core.report import Report, Tone
from voiceconv.errors import UserError
from voiceconv.inspection.comparison import compare
from voiceconv.inspection.grading import GOOD_SNR, USABLE_SNR, Grade
from voiceconv.inspection.inspect import Inspection
from voiceconv.inspection.measures import BAND_HZ, N_BANDS, Array

TONES: dict[Grade, Tone] = {"good": "good", "usable": "fair", "poor": "poor"}
FEWEST_TICKS = 3
HIGHLIGHT = "tab:orange"  # what to look at, in every picture


def save_report(inspections: Sequence[Inspection], path: str | os.PathLike[str]) -> None:
    """Writes the report on one speaker, or on two and how they fit, with its plots as one file that needs no network;
    raises `UserError` if it cannot."""
    try:
        make_page(inspections).save(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"The report cannot be written to {path}: {reason}. Choose another place.") from error


def make_page(inspections: Sequence[Inspection]) -> Report:
    """The whole report as a page; `save` writes it."""
    report = Report(f"Recordings of {' and '.join(inspection.name for inspection in inspections)}")
    for inspection in inspections:
        if len(inspections) > 1:
            report.heading(inspection.name)
        _report_on(inspection, report)
    if len(inspections) == 2:
        report.heading("As a pair")
        for sentence in compare(*inspections):
            report.text(sentence)
    return report


def _report_on(inspection: Inspection, report: Report) -> None:
    report.text(f"{inspection.folder}").text(inspection.verdict, tone=TONES[inspection.grade])
    report.table([[f.topic, f.value, f.grade] for f in inspection.findings], ["for training", "found", "grade"])
    report.table(inspection.facts, ["in general", "found"])
    if inspection.spoken:
        report.figure(pitch_histogram(inspection), "Pitch of the voiced frames, and around which pitch most files lie.")
        report.figure(length_histogram(inspection), "Length of the recordings.")
        report.figure(
            level_and_noise(inspection),
            "Level of the speech and of the pauses in each file. Orange: listed under the files to look at.",
        )
        report.figure(
            mean_spectra(inspection), "Mean spectra of speech and pauses, and up to where there is speech (bandwidth)."
        )
    if inspection.problems:
        report.heading(f"Files to look at ({len(inspection.problems)})")
        report.table([[name, "; ".join(wrong)] for name, wrong in inspection.problems.items()], ["file", "problem"])


def pitch_histogram(inspection: Inspection) -> Figure:
    figure, axes = _axes()
    low, high = np.percentile(inspection.f0, [0.2, 99.8])
    axes.hist(
        inspection.f0,
        np.geomspace(low, high + 1, 60).tolist(),
        weights=np.full(len(inspection.f0), 0.01),
        color="tab:blue",
    )
    axes.set(xscale="log", xlabel="Hz", ylabel="seconds")
    _ticks(axes, [60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600])
    if inspection.pitch is not None:
        axes.axvline(inspection.pitch, color=HIGHLIGHT)
        _label(axes, inspection.pitch, f"{inspection.pitch:.0f} Hz")
    return figure


def length_histogram(inspection: Inspection) -> Figure:
    figure, axes = _axes()
    seconds = [r.seconds for r in inspection.recordings]
    axes.hist(seconds, np.geomspace(min(seconds) * 0.99, max(seconds) * 1.01, 40).tolist(), color="tab:blue")
    axes.set(xscale="log", xlabel="seconds", ylabel="files")
    _ticks(axes, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    return figure


def level_and_noise(inspection: Inspection) -> Figure:
    """Lines of equal distance between speech and noise run from lower left to upper right."""
    figure, axes = _axes()
    shown = [r for r in inspection.spoken if r.noise_level is not None]
    suspect = np.array([r.name in inspection.problems for r in shown], dtype=bool)
    level, noise = (np.array([getattr(r, field) for r in shown]) for field in ("speech_level", "noise_level"))
    for chosen, color in ((~suspect, "tab:blue"), (suspect, HIGHLIGHT)):
        axes.plot(level[chosen], noise[chosen], ".", color=color, alpha=0.7, markersize=5)
    axes.set(xlabel="speech, dBFS", ylabel="noise floor, dBFS")
    ends = np.array(axes.get_xlim())
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    for snr in (GOOD_SNR, USABLE_SNR):
        axes.plot(ends, ends - snr, "--", color="gray", linewidth=1)
        x = min(ends[1], axes.get_ylim()[1] + snr)  # where the line leaves the picture
        axes.annotate(f"{snr:.0f} dB ", (x, x - snr), ha="right", va="top")
    return figure


def mean_spectra(inspection: Inspection) -> Figure:
    """Up to half the sample rate of most files; few of a higher rate would put a step into the mean."""
    figure, axes = _axes()
    n = min(N_BANDS, int((inspection.sample_rate or 0) / 2 / BAND_HZ))
    kilohertz = (np.arange(n) + 0.5) * BAND_HZ / 1000
    axes.plot(
        kilohertz, _pooled([(r.speech_spectrum, r.speech_seconds) for r in inspection.spoken])[:n], label="speech"
    )
    pauses = [(r.pause_spectrum, r.seconds) for r in inspection.spoken if r.pause_spectrum is not None]
    if pauses:
        axes.plot(kilohertz, _pooled(pauses)[:n], color="gray", label="pauses")
    axes.set(xlabel="kHz", ylabel="dBFS per 100 Hz", xlim=(0, n * BAND_HZ / 1000))
    if inspection.bandwidth is not None:
        axes.axvline(inspection.bandwidth / 1000, color=HIGHLIGHT)
        _label(axes, inspection.bandwidth / 1000, f"{inspection.bandwidth / 1000:.1f} kHz")
    axes.legend(loc="upper center")
    return figure


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _ticks(axes: Axes, values: list[float]) -> None:
    """Round numbers written out on a logarithmic axis: those of `values` there is room for, or finer ones."""
    low, high = axes.get_xlim()
    shown = [value for value in values if low <= value <= high]
    if len(shown) < FEWEST_TICKS:
        shown = [value for value in MaxNLocator(6).tick_values(low, high) if low <= value <= high]
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.minorticks_off()


def _label(axes: Axes, x: float, text: str) -> None:
    """Beside a vertical line at `x`, on the side that has room."""
    left, right = axes.transAxes.inverted().transform(axes.transData.transform([(x, 0)]))[0][0] > 0.75, 4
    offset = (-right, -2) if left else (right, -2)
    axes.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=offset,
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
    )


def _pooled(spectra: list[tuple[Array, float]]) -> Array:
    """The mean `(N_BANDS,)` in dB of power spectra with their weights, each band over the files that have it."""
    power = np.stack([spectrum for spectrum, _ in spectra])
    weight = np.array([[w] for _, w in spectra]) * ~np.isnan(power)
    with np.errstate(invalid="ignore"):
        return np.asarray(10 * np.log10((np.nan_to_num(power) * weight).sum(0) / weight.sum(0) + 1e-15))
