"""Defines convolutional discriminators: of patches (Isola et al. 2017, arXiv:1611.07004), of classes, of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from generative_core.nets.conv import smallest_map
from generative_core.nets.norm import Norm, norm2d


def _strided_layers(planes: int, channels: int, layers: int, kernel_size: int, norm: Norm) -> tuple[nn.Sequential, int]:
    """`layers` convolutions that halve the picture and double the channels; also returns the last channel count."""
    modules: list[nn.Module] = []
    for layer in range(layers):
        width = min(channels * 2**layer, 8 * channels)
        modules.append(nn.Conv2d(planes, width, kernel_size, stride=2, padding=1))
        if layer > 0:
            modules += norm2d(norm, width)
        modules.append(nn.LeakyReLU(0.2))
        planes = width
    return nn.Sequential(*modules), planes


class PatchDiscriminator(nn.Module):
    """`(B, planes, H, W)` -> a map of outputs `(B, 1, h, w)`, one a patch; with three layers a patch is 70 wide when
    the last two convolutions are counted (PatchGAN-70). No activation at the end: losses want raw outputs."""

    def __init__(
        self,
        *,
        planes: int = 3,
        channels: int = 64,
        layers: int = 3,
        kernel_size: Literal[3, 4] = 4,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.features, width = _strided_layers(planes, channels, layers, kernel_size, norm)
        wide = min(2 * width, 8 * channels)
        self.head = nn.Sequential(
            nn.Conv2d(width, wide, kernel_size, padding=1),
            *norm2d(norm, wide),
            nn.LeakyReLU(0.2),
            nn.Conv2d(wide, 1, kernel_size, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The outputs, and what every activation gives on the way to them."""
        return _with_features([*self.features, *self.head], x)


class PixelDiscriminator(nn.Module):
    """`(B, planes, H, W)` -> outputs `(B, 1, H, W)`, one for every pixel on its own (the paper's 1x1 PixelGAN): it can
    make colours right and nothing else."""

    def __init__(self, *, planes: int = 3, channels: int = 64, norm: Norm = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(planes, channels, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 1),
            *norm2d(norm, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The outputs, and what every activation gives on the way to them."""
        return _with_features(self.layers, x)


def _with_features(layers: Iterable[nn.Module], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    found = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            found.append(x)
    return x, found


class PatchClassifier(nn.Module):
    """`(B, planes, H, W)` -> class logits `(B, classes)`, averaged over the patches of pictures of any width."""

    def __init__(self, *, classes: int = 2, planes: int = 1, channels: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.features, width = _strided_layers(planes, channels, layers, 4, "none")
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class ImageDiscriminator(nn.Module):
    """Pictures `(B, *shape)` with `shape = (planes, H, W)` -> one output each, `(B, 1)`; no activation at the end.

    `layers` convolutions halve the picture; H and W are multiples of `2**layers`.
    With `classes` it scores a picture as one of its class `(B,)`, by the inner product of its features with an
    embedding of the class (projection: Miyato & Koyama 2018, arXiv:1802.05637). `minibatch_std` shows it how much the
    pictures of a batch differ, so that a generator cannot draw the same one always (Karras et al. 2018,
    arXiv:1710.10196).
    """

    def __init__(
        self,
        *,
        shape: Sequence[int],
        classes: int = 0,
        channels: int = 32,
        layers: int = 2,
        minibatch_std: bool = False,
    ) -> None:
        super().__init__()
        planes, height, width = smallest_map(shape, layers)
        self.features, wide = _strided_layers(planes, channels, layers, 4, "none")
        self.minibatch_std = minibatch_std
        self.summary = nn.Sequential(nn.Linear((wide + minibatch_std) * height * width, wide), nn.LeakyReLU(0.2))
        self.head = nn.Linear(wide, 1)
        self.embedding = nn.Embedding(classes, wide) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.features(x)
        if self.minibatch_std:
            h = append_minibatch_std(h)
        h = self.summary(h.flatten(1))
        logits = self.head(h)
        if self.embedding is not None:
            assert y is not None, "a conditional discriminator needs classes"
            logits = logits + (self.embedding(y) * h).sum(1, keepdim=True)
        return logits


def append_minibatch_std(x: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B, C + 1, H, W)`: the new plane is the standard deviation over the batch, averaged over
    channels and places, the same number everywhere."""
    deviation = (x.var(0, correction=0) + 1e-8).sqrt().mean()
    return torch.cat([x, deviation.expand_as(x[:, :1])], dim=1)
