"""Defines the 2-1-2-D gated generator of CycleGAN-VC2 and MaskCycleGAN-VC (Kaneko et al. 2019, 2021).

Two departures from the published code are deliberate. The gates are gated linear units, as in the papers. Normalisation
is over the channels and frequencies of one frame instead of over the clip (InstanceNorm), so that a frame's output does
not depend on how long the clip is.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class FrameNorm(nn.Module):
    """Normalises every frame of `(B, C, T)` or `(B, C, F, T)` over all axes but batch and time; affine per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine = nn.GroupNorm(1, channels)  # only holds the weight, the bias and the epsilon

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(1, x.ndim - 1))
        variance, mean = x.var(axes, keepdim=True, correction=0), x.mean(axes, keepdim=True)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        x = (x - mean) * (variance + self.affine.eps).rsqrt()
        return x * self.affine.weight.view(shape) + self.affine.bias.view(shape)


class ResidualGatedBlock1d(nn.Module):
    """`(B, channels, T)` -> the same shape through a gated convolution of twice the width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv1d(channels, 4 * channels, 3, padding=1)
        self.widen_norm = FrameNorm(4 * channels)
        self.narrow = nn.Conv1d(2 * channels, channels, 3, padding=1)
        self.narrow_norm = FrameNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        h = F.glu(self.widen_norm(self.widen(x)), dim=1)
        return x + self.narrow_norm(self.narrow(h))


class GatedGenerator(nn.Module):
    """`(B, planes, bands, T)` -> `(B, 1, bands, T)`; `bands` is a multiple of 4, T is padded to one inside."""

    def __init__(self, *, bands: int = 80, planes: int = 2, channels: int = 256, blocks: int = 6) -> None:
        super().__init__()
        half = channels // 2
        flat = channels * bands // 4
        self.enter = nn.Conv2d(planes, 2 * half, (5, 15), padding=(2, 7))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 2 * channels, 5, stride=2, padding=2), FrameNorm(2 * channels), nn.GLU(1))
            for width in (half, channels)
        )
        self.flatten = nn.Sequential(nn.Conv1d(flat, channels, 1), FrameNorm(channels))
        self.blocks = nn.Sequential(*(ResidualGatedBlock1d(channels) for _ in range(blocks)))
        self.unflatten = nn.Sequential(nn.Conv1d(channels, flat, 1), FrameNorm(flat))
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width_in, 8 * width_out, 5, padding=2),
                nn.PixelShuffle(2),
                FrameNorm(2 * width_out),
                nn.GLU(1),
            )
            for width_in, width_out in ((channels, channels), (channels, half))
        )
        self.leave = nn.Conv2d(half, 1, (5, 15), padding=(2, 7))

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1]
        h = F.pad(x, (0, -frames % 4, 0, 0), mode="replicate")
        h = F.glu(self.enter(h), dim=1)
        for layer in self.down:
            h = layer(h)
        shape = h.shape
        h = self.unflatten(self.blocks(self.flatten(h.flatten(1, 2)))).reshape(shape)
        for layer in self.up:
            h = layer(h)
        return self.leave(h)[..., :frames]
