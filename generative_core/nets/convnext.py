"""Defines 1-D ConvNeXt: depthwise convolution along time, then a two-layer perceptron on every frame.

The block is that of Liu et al. 2022 (arXiv:2201.03545) in one dimension, as Vocos (Siuzdak 2023) uses it. All
normalisation is over the channels of one frame, never over time, so a frame's output depends on its neighbourhood
only and not on the length of the clip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def share_lookahead(layers: int, kernel_size: int, lookahead: int | None) -> list[int]:
    """How many frames to come each of the layers may use, together `lookahead`; half of its kernel without a limit."""
    if lookahead is None:
        return [kernel_size // 2] * layers
    if not 0 <= lookahead <= layers * (kernel_size - 1):
        raise ValueError(f"lookahead must be from 0 to {layers * (kernel_size - 1)} frames, not {lookahead}")
    return [lookahead // layers + (layer < lookahead % layers) for layer in range(layers)]


class ConvNeXtBlock1d(nn.Module):
    """`(B, channels, T)` -> the same shape; sees `kernel_size` frames, of which `lookahead` (or half) are to come."""

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int = 7,
        expansion: int = 3,
        scale: float = 1.0,
        lookahead: int | None = None,
    ) -> None:
        super().__init__()
        ahead = kernel_size // 2 if lookahead is None else lookahead
        self.padding = (kernel_size - 1 - ahead, ahead)
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.contract = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.valid(F.pad(x, self.padding))

    def valid(self, x: Tensor) -> Tensor:
        """`(B, channels, T)` -> those of its columns that all of their neighbours are there for."""
        h = self.norm(self.depthwise(x).transpose(1, 2))
        h = self.scale * self.contract(F.gelu(self.expand(h)))
        behind, ahead = self.padding
        return x[..., behind : x.shape[-1] - ahead] + h.transpose(1, 2)


class ConvNeXtGenerator(nn.Module):
    """Translates a picture of `bands` rows and any width, `(B, planes, bands, T)` -> `(B, 1, bands, T)`.

    The rows are channels of a 1-D network: right for spectrograms, where a row is a frequency, not for photographs.
    With `lookahead` a column depends on so many that come after it, for use while the picture is still growing;
    otherwise on as many as before it.
    """

    def __init__(
        self,
        *,
        bands: int = 80,
        planes: int = 1,
        channels: int = 256,
        blocks: int = 8,
        kernel_size: int = 7,
        lookahead: int | None = None,
    ) -> None:
        super().__init__()
        ahead = share_lookahead(blocks + 1, kernel_size, lookahead)
        self.lookahead = sum(ahead)
        self.padding = (kernel_size - 1 - ahead[0], ahead[0])
        self.enter = nn.Conv1d(planes * bands, channels, kernel_size)
        self.blocks = nn.Sequential(
            *(
                ConvNeXtBlock1d(channels, kernel_size=kernel_size, scale=1 / blocks, lookahead=frames)
                for frames in ahead[1:]
            )
        )
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, bands)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.blocks(self.enter(F.pad(x.flatten(1, 2), self.padding))))

    def answer(self, h: Tensor) -> Tensor:
        """What the blocks give, `(B, channels, T)` -> the picture `(B, 1, bands, T)`."""
        return self.leave(self.norm(h.transpose(1, 2))).transpose(1, 2).unsqueeze(1)
