"""Defines multi-layer perceptrons between samples of any shape and vectors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them and nothing after the last."""
    modules: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        modules += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class MLPEncoder(nn.Module):
    """Samples `(B, *shape)` -> `(B, outputs)`."""

    def __init__(self, *, shape: Sequence[int], outputs: int, hidden: Sequence[int] = (512, 256)) -> None:
        super().__init__()
        self.layers = _layers([math.prod(shape), *hidden, outputs])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))


class MLPDecoder(nn.Module):
    """Vectors `(B, latent)` -> samples `(B, *shape)`, unbounded."""

    def __init__(self, *, shape: Sequence[int], latent: int, hidden: Sequence[int] = (256, 512)) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.layers = _layers([latent, *hidden, math.prod(shape)])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape)
