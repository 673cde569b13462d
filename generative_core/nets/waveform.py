"""Defines discriminators of waveforms `(B, T)`: one folds them by a period, the other looks at their spectrogram.

Both are stacks of two-dimensional convolutions and return what the family `WaveformGAN` needs: their raw outputs and
the features of every layer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

LOUDNESS = 10.0  # speech has a root mean square of about a tenth; the first layers learn slowly from less than 1


class _Stack(nn.Module):
    """Convolutions with leaky ReLU in between; `layers` is (channels, kernel, stride) of each but the last, which gives
    one channel."""

    def __init__(self, planes: int, layers: Iterable[tuple[int, tuple[int, int], tuple[int, int]]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for channels, kernel, stride in layers:
            padding = (kernel[0] // 2, kernel[1] // 2)
            self.layers.append(weight_norm(nn.Conv2d(planes, channels, kernel, stride, padding)))
            planes = channels
        self.head = weight_norm(nn.Conv2d(planes, 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.head(x), features


class PeriodDiscriminator(nn.Module):
    """Looks at every `period`-th sample (one of HiFi-GAN's multi-period discriminators, Kong et al. 2020).

    `(B, T)` -> outputs `(B, 1, t, period)` and the features before them.
    """

    def __init__(self, period: int, *, channels: int = 32) -> None:
        super().__init__()
        self.period = period
        widths = (channels, 4 * channels, 16 * channels, 32 * channels)
        strided = [(width, (5, 1), (3, 1)) for width in widths]
        self.stack = _Stack(1, [*strided, (widths[-1], (5, 1), (1, 1))])

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.stack(LOUDNESS * self.fold(wav))

    def fold(self, wav: Tensor) -> Tensor:
        """`(B, T)` -> `(B, 1, ceil(T / period), period)`: row after row; the end is filled up by reflection."""
        wav = F.pad(wav, (0, -wav.shape[1] % self.period), mode="reflect")
        return wav.reshape(wav.shape[0], 1, -1, self.period)


class ResolutionDiscriminator(nn.Module):
    """Looks at the magnitudes of one short-time Fourier transform (one of the multi-resolution discriminators of
    UnivNet, Jang et al. 2021, arXiv:2106.07889), compressed by a power of 0.3 so that quiet parts count.

    `(B, T)` -> outputs `(B, 1, f, t)` and the features before them.
    """

    window: Tensor

    def __init__(self, n_fft: int, *, channels: int = 32) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        # Frequencies are halved from the start: at full height the first layers would cost more than all others
        # together.
        strided = [(channels, (5, 3), (2, 1)), *[(channels, (5, 3), (2, 2))] * 3]
        self.stack = _Stack(1, [*strided, (channels, (3, 3), (1, 1))])

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        spectrum = torch.stft(wav, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        # The small constant keeps the gradient finite where the signal is exactly zero.
        power = spectrum.real.square() + spectrum.imag.square() + 1e-7
        return self.stack(power.pow(0.15)[:, None])
