"""Defines discriminators of spectrograms: of patches, as for any picture, and of stretches of time over all bands.

A patch sees few bands: enough to notice an artefact. A speaker is known by where the formants lie to each other, which
takes the whole spectrum. As 1-D convolutions with the bands as channels that costs less than the patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from generative_core.nets.discriminator import PatchClassifier, PatchDiscriminator


def full_band_layers(bands: int, channels: int) -> nn.Sequential:
    """`(B, bands, T)` -> `(B, channels, T / 4)`, each of 17 frames."""
    modules: list[nn.Module] = []
    for stride in (1, 2, 2):
        modules += [nn.Conv1d(bands, channels, 5, stride=stride, padding=2), nn.LeakyReLU(0.2)]
        bands = channels
    return nn.Sequential(*modules)


class SpectrogramDiscriminator(nn.Module):
    """`(B, 1, bands, T)` -> outputs `(B, n)`: one half of them of patches, the other half of all bands.

    With two layers a patch is 34 bands and frames wide; a stretch of all bands is 25 frames long.
    """

    def __init__(self, *, bands: int = 80, channels: int = 32, layers: int = 2, band_channels: int = 256) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(planes=1, channels=channels, layers=layers, norm="none")
        self.stretches = nn.Sequential(
            full_band_layers(bands, band_channels), nn.Conv1d(band_channels, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        patches, stretches = self.patches(x).flatten(1), self.stretches(x.flatten(1, 2)).flatten(1)
        repeats = -(-patches.shape[1] // stretches.shape[1])
        return torch.cat([patches, stretches.repeat(1, repeats)[:, : patches.shape[1]]], dim=1)


class SpectrogramClassifier(nn.Module):
    """`(B, 1, bands, T)` -> class logits `(B, classes)`, averaged over patches and over stretches of all bands."""

    def __init__(
        self, *, classes: int = 2, bands: int = 80, channels: int = 24, layers: int = 3, band_channels: int = 192
    ) -> None:
        super().__init__()
        self.patches = PatchClassifier(classes=classes, channels=channels, layers=layers)
        self.stretches = full_band_layers(bands, band_channels)
        self.head = nn.Linear(band_channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.patches(x) + self.head(self.stretches(x.flatten(1, 2)).mean(2))
