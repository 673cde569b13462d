"""Changes images at random, differentiably, for training classifiers and discriminators on few images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_affine(x: Tensor, *, degrees: float = 0.0, scale: float = 0.0, shift: float = 0.0) -> Tensor:
    """Every image of `(B, C, H, W)` turned by up to `degrees` either way, made larger or smaller by up to a share of
    `scale`, and shifted by up to a share `shift` of its height and width; what comes in at the edges repeats them.

    Uses torch's random state. Gradients of gradients do not pass through.
    """
    batch = len(x)
    angle, size, right, down = (torch.rand(4, batch, device=x.device) * 2 - 1).unbind()
    angle, zoom = angle * math.radians(degrees), 1 / (1 + scale * size)
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    # Where in the image each place of the result comes from, in units of half the image's side.
    matrix = torch.stack([cosine, -sine, 2 * shift * right, sine, cosine, 2 * shift * down], dim=1).view(batch, 2, 3)
    places = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, places, mode="bilinear", padding_mode="border", align_corners=False)
