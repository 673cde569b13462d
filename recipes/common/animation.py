"""Writes the frames of a figure as GIF and MP4."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

Frame = NDArray[np.uint8]
"""`(H, W, 3)`; H and W are even, which video asks for."""

LAST_FRAME_SECONDS = 2.0


def rasterise(figure: Figure) -> Frame:
    """A figure as pixels, at its own size and resolution."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_gif(path: Path, frames: Sequence[Frame], rate: int) -> None:
    """Repeats for ever, and rests on the last frame. `rate` is in frames a second; all frames share 128 colours."""
    some = frames[:: max(1, len(frames) // 8)]
    palette = Image.fromarray(np.concatenate(some)).quantize(128)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 / rate)] * (len(frames) - 1) + [round(1000 * LAST_FRAME_SECONDS)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)


def write_mp4(path: Path, frames: Sequence[Frame], rate: int) -> None:
    """H.264 that every browser plays."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in [*frames, *[frames[-1]] * round(rate * LAST_FRAME_SECONDS)]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
