"""Defines small convolutional networks between images and vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def smallest_map(shape: Sequence[int], layers: int) -> tuple[int, int, int]:
    """`(planes, H, W)` of an image -> the same of its smallest map, after `layers` halvings."""
    planes, height, width = shape
    if height % 2**layers or width % 2**layers:
        raise ValueError(
            f"images of {height}x{width} cannot be halved {layers} times: both sides must be multiples of {2**layers}"
        )
    return planes, height >> layers, width >> layers


class ConvEncoder(nn.Module):
    """Images `(B, *shape)` with `shape = (planes, H, W)` -> `(B, outputs)`.

    `layers` convolutions halve the image and double the channels; H and W are multiples of `2**layers`.
    """

    def __init__(self, *, shape: Sequence[int], outputs: int, channels: int = 32, layers: int = 2) -> None:
        super().__init__()
        planes, height, width = smallest_map(shape, layers)
        modules: list[nn.Module] = []
        for layer in range(layers):
            modules += [nn.Conv2d(planes, channels << layer, 4, stride=2, padding=1), nn.ReLU()]
            planes = channels << layer
        self.layers = nn.Sequential(*modules, nn.Flatten(), nn.Linear(planes * height * width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ConvDecoder(nn.Module):
    """Vectors `(B, latent)` -> images `(B, *shape)`, unbounded: the mirror image of `ConvEncoder`."""

    def __init__(self, *, shape: Sequence[int], latent: int, channels: int = 32, layers: int = 2) -> None:
        super().__init__()
        planes, height, width = smallest_map(shape, layers)
        widths = [channels << layer for layer in reversed(range(layers))]
        modules: list[nn.Module] = [nn.Linear(latent, widths[0] * height * width), nn.ReLU()]
        modules.append(nn.Unflatten(1, (widths[0], height, width)))
        for before, after in zip(widths, [*widths[1:], planes], strict=True):
            modules += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*modules[:-1])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class ConvGenerator(nn.Module):
    """Noise `(B, z_dim)`, and classes `(B,)` if there are any, -> images `(B, *shape)` in [-1, 1], after DCGAN
    (Radford et al. 2016, arXiv:1511.06434).

    Only the direction of the noise counts (Karras et al. 2018), so that straight lines between two noises are as good
    as arcs. Groups are normalised, not batches: what becomes of one noise does not depend on the others.
    """

    def __init__(
        self, *, shape: Sequence[int], z_dim: int = 64, classes: int = 0, channels: int = 32, layers: int = 2
    ) -> None:
        super().__init__()
        planes, height, width = smallest_map(shape, layers)
        widths = [channels << layer for layer in reversed(range(layers))]
        self.embedding = nn.Embedding(classes, z_dim) if classes else None
        inputs = 2 * z_dim if classes else z_dim
        modules: list[nn.Module] = [nn.Linear(inputs, widths[0] * height * width)]
        modules.append(nn.Unflatten(1, (widths[0], height, width)))
        for before, after in zip(widths, [*widths[1:], channels], strict=True):
            modules += [nn.GroupNorm(8, before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        modules += [nn.GroupNorm(8, channels), nn.ReLU(), nn.Conv2d(channels, planes, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*modules)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        z = F.normalize(z) * z.shape[1] ** 0.5
        if self.embedding is not None:
            assert y is not None, "a conditional generator needs classes"
            z = torch.cat([z, self.embedding(y)], dim=1)
        return self.layers(z)
