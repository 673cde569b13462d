"""Draws the mel-spectrogram of a recording with its pitch curve."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from voiceconv.features.mel import MelConfig, MelSpectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#808080"  # of the lettering: readable on white and on black
OUTLINE = "#101018"  # of the curve; not black, which a report turns into the colour of its text
CURVE = "#5ee0ff"
QUIETEST, LOUDEST = -9.0, 1.0  # log-mel of the darkest and brightest colour: the same in all pictures, to compare them


def draw_spectrogram(wav: NDArray[np.float32], f0: NDArray[np.floating], config: MelConfig) -> Figure:
    """The log-mel spectrogram of `wav` `(T,)` with its F0 `(frames,)` in Hz, 0 where unvoiced, on an axis of its own.

    The lettering suits a light and a dark page if the figure is saved transparent.
    """
    from matplotlib.figure import Figure  # takes half a second

    figure = Figure(figsize=(5.4, 2.5), dpi=200, layout="constrained")
    plot_spectrogram(figure.add_subplot(), wav, f0, config)
    return figure


def plot_spectrogram(axes: Axes, wav: NDArray[np.float32], f0: NDArray[np.floating], config: MelConfig) -> None:
    """The same on `axes` of some figure."""
    to_mel = MelSpectrogram(config)
    mel = to_mel(torch.from_numpy(wav)).numpy()
    seconds = len(wav) / config.sample_rate
    extent = (0, seconds, 0, config.n_mels)
    axes.imshow(mel, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=QUIETEST, vmax=LOUDEST)
    band_hz = to_mel.filters.argmax(dim=0).numpy() * config.sample_rate / config.n_fft
    khz = [tick for tick in (0.5, 1, 2, 4) if 1000 * tick < band_hz[-1]]
    axes.set_yticks(np.interp([1000 * tick for tick in khz], band_hz, np.arange(config.n_mels) + 0.5), map(str, khz))
    axes.set_ylabel("frequency, kHz")
    axes.set_xlabel("time, s")

    pitch = axes.twinx()
    times = (np.arange(len(f0)) + 0.5) * config.hop_length / config.sample_rate
    contour = np.where(f0 > 0, f0, np.nan)
    pitch.plot(times, contour, color=OUTLINE, linewidth=3.5)
    pitch.plot(times, contour, color=CURVE, linewidth=1.8)
    pitch_axis(pitch)
    pitch.set_xlim(0, seconds)
    for each in (axes, pitch):
        each.tick_params(colors=GREY, labelsize=9)
        each.xaxis.label.set_color(GREY)
        each.yaxis.label.set_color(GREY)
        for spine in each.spines.values():
            spine.set_visible(False)


def pitch_axis(axes: Axes) -> None:
    """Makes the y axis one of pitch in Hz: logarithmic, over the range of speech."""
    axes.set(yscale="log", ylim=(50, 600), ylabel="pitch, Hz")
    axes.set_yticks([60, 100, 200, 400], ["60", "100", "200", "400"])
    axes.minorticks_off()


def as_img(figure: Figure, alt: str) -> str:
    """An HTML `<img>` that carries the figure itself, on a transparent ground."""
    png = io.BytesIO()
    figure.savefig(png, format="png", transparent=True)
    data = base64.b64encode(png.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
