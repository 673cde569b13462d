"""Draws grids of images and scatter plots of codes, legible on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from recipes.common.image_data import Images


def image_grid(
    images: Tensor, *, rows: Sequence[str] = (), columns: Sequence[str] = (), title: str = "", inch: float = 0.55
) -> Figure:
    """Images `(R, K, C, H, W)` in [0, 1] side by side as R rows of K, with names for the rows and columns if given;
    one image is `inch` wide."""
    count, width = images.shape[:2]
    margin = 0.085 * max((len(name) for name in rows), default=0) + 0.1
    top = 0.3 * bool(columns) + 0.3 * bool(title) + 0.05
    size = (width * inch + margin + 0.1, count * inch * images.shape[-2] / images.shape[-1] + top + 0.1)
    figure = Figure(figsize=size)
    box = (margin / size[0], 0.1 / size[1], width * inch / size[0], 1 - (top + 0.1) / size[1])
    show_grid(figure.add_axes(box), images, rows=rows, columns=columns)
    if title:
        figure.suptitle(as_text(title), fontsize=10)
    return figure


def show_grid(axes: Axes, images: Tensor, *, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
    """The same within a figure of the caller's."""
    axes.imshow(tile(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    height, width = images.shape[-2] + 1, images.shape[-1] + 1
    axes.set_yticks([height * (i + 0.5) for i in range(len(rows))], [as_text(name) for name in rows], fontsize=9)
    axes.set_xticks([width * (i + 0.5) for i in range(len(columns))], [as_text(name) for name in columns], fontsize=8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def tile(images: Tensor) -> np.ndarray:
    """Images `(R, K, C, H, W)` in [0, 1] -> one picture, `(height, width)` or
    `(height, width, 3)`, with grey between them."""
    images = images.detach().cpu().clamp(0, 1)
    rows, columns, channels, height, width = images.shape
    picture = torch.full((channels, rows * (height + 1) + 1, columns * (width + 1) + 1), 0.5)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + 1) + 1, column * (width + 1) + 1
            picture[:, top : top + height, left : left + width] = images[row, column]
    return picture[0].numpy() if channels == 1 else picture.permute(1, 2, 0).numpy()


def as_text(name: str) -> str:
    """A name for a figure: dollars in names of folders begin no formula."""
    return name.replace("$", r"\$")


def scatter_classes(codes: Tensor, images: Images, title: str = "") -> Figure:
    """Codes `(N, 2)` of images as points in the colour of their class."""
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    show_classes(figure.add_subplot(), codes, images, title)
    return figure


def show_classes(axes: Axes, codes: Tensor, images: Images, title: str = "") -> None:
    """The same within a figure of the caller's."""
    points, labels = codes.detach().cpu().numpy(), images.y.cpu().numpy()
    for number, name in enumerate(images.classes):
        chosen = points[labels == number][:300]
        color = f"C{number}" if len(images.classes) <= 10 else None
        axes.plot(*chosen.T, ".", markersize=3, color=color, label=as_text(name), rasterized=True)
    axes.set_title(as_text(title), fontsize=10)
    if len(images.classes) > 1:
        axes.legend(frameon=False, fontsize=8, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
