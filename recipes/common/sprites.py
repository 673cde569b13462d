"""Renders white sprites whose every factor is known, in the manner of dSprites (Matthey et al. 2017)."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

SHAPES = ("square", "ellipse", "heart")
SCALES = (0.6, 0.75, 0.9, 1.05)
# A quarter of a turn: beyond it squares and ellipses would repeat themselves or their mirror image.
ROTATIONS = tuple(math.pi / 2 * step / 6 for step in range(6))
PLACES = tuple(-0.5 + step / 7 for step in range(8))
FACTORS = ("shape", "scale", "rotation", "x", "y")


class Sprites(NamedTuple):
    """Every combination of the factors once: images `(4608, 1, size, size)` in [0, 1] and the number of each factor's
    value, `(4608, 5)`, in the order of `FACTORS`."""

    x: Tensor
    factors: Tensor


def render_sprites(size: int = 32, oversampling: int = 3) -> Sprites:
    """Draws them with smooth edges, each pixel the mean of `oversampling` squared points; takes about two seconds."""
    side = size * oversampling
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    grid_y, grid_x = torch.meshgrid(line, line, indexing="ij")
    numbers = list(itertools.product(*(range(len(v)) for v in (SHAPES, SCALES, ROTATIONS, PLACES, PLACES))))
    images = []
    for shape, scale, rotation, x, y in numbers:
        angle, radius = ROTATIONS[rotation], 0.42 * SCALES[scale]
        dx, dy = (grid_x - PLACES[x]) / radius, (grid_y - PLACES[y]) / radius
        u, v = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
        images.append(_inside(SHAPES[shape], u, v).float().view(size, oversampling, size, oversampling).mean((1, 3)))
    return Sprites(torch.stack(images).unsqueeze(1), torch.tensor(numbers))


def _inside(shape: str, u: Tensor, v: Tensor) -> Tensor:
    """Which points belong to the shape of about unit radius around the origin."""
    if shape == "square":
        return (u.abs() < 0.7) & (v.abs() < 0.7)
    if shape == "ellipse":
        return u.square() + (v / 0.5).square() < 1
    height = 0.2 - 1.15 * v  # a heart's y points upwards
    return ((1.15 * u).square() + height.square() - 1) ** 3 - (1.15 * u).square() * height**3 < 0
