"""Convolutional critics that judge patches (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


def _strided_layers(
    planes: int, channels: int, layers: int, kernel_size: int, norm: Literal["none", "instance"]
) -> tuple[nn.Sequential, int]:
    """`layers` convolutions that halve the picture and double the channels; also returns the last channel count."""
    modules: list[nn.Module] = []
    for layer in range(layers):
        width = min(channels * 2**layer, 8 * channels)
        modules.append(nn.Conv2d(planes, width, kernel_size, stride=2, padding=1))
        if norm == "instance" and layer > 0:
            modules.append(nn.InstanceNorm2d(width))
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
        norm: Literal["none", "instance"] = "instance",
    ) -> None:
        super().__init__()
        self.features, width = _strided_layers(planes, channels, layers, kernel_size, norm)
        wide = min(2 * width, 8 * channels)
        self.head = nn.Sequential(
            nn.Conv2d(width, wide, kernel_size, padding=1),
            *([nn.InstanceNorm2d(wide)] if norm == "instance" else []),
            nn.LeakyReLU(0.2),
            nn.Conv2d(wide, 1, kernel_size, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class PatchClassifier(nn.Module):
    """`(B, planes, H, W)` -> class logits `(B, classes)`, averaged over the patches of pictures of any width."""

    def __init__(self, *, classes: int = 2, planes: int = 1, channels: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.features, width = _strided_layers(planes, channels, layers, 4, "none")
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))
