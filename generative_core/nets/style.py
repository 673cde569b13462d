"""Defines the style-based generator (Karras et al. 2019, arXiv:1812.04948) as revised in StyleGAN2 (arXiv:1912.04958).

A mapping network turns noise `z` into a style `w`; every convolution of the synthesis network is modulated by the style
of its layer and adds noise of its own, so that styles can differ from layer to layer (style mixing) and be pulled
towards their mean (truncation). Weights are stored with unit variance and scaled when used (equalised learning rate),
so that Adam moves all layers alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance through a leaky ReLU


class ScaledLinear(nn.Module):
    """`(B, inputs)` -> `(B, outputs)` with weights scaled when used; `rate` multiplies the effective learning rate."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate = rate
        self.scale = rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class MappingNetwork(nn.Module):
    """Noise `(B, z_dim)`, and classes `(B,)` if there are any, -> styles `(B, w_dim)`."""

    def __init__(self, *, z_dim: int, w_dim: int, classes: int = 0, layers: int = 4, rate: float = 0.01) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, z_dim) if classes else None
        widths = [z_dim * (2 if classes else 1), *[w_dim] * layers]
        self.layers = nn.ModuleList(ScaledLinear(a, b, rate=rate) for a, b in pairwise(widths))
        self.z_dim = z_dim

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        w = _normalise(z)
        if self.embedding is not None:
            assert y is not None, "a conditional generator needs classes"
            w = torch.cat([w, _normalise(self.embedding(y))], dim=1)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), SLOPE) * GAIN
        return w

    def mean_style(self, y: Tensor | None = None, *, samples: int = 2048) -> Tensor:
        """The mean style over much noise: `(1, w_dim)`, or that of each of the classes, `(B, w_dim)`."""
        z = torch.randn(samples, self.z_dim, generator=torch.Generator().manual_seed(0))
        z = z.to(next(self.parameters()))
        if y is None:
            return self(z).mean(0, keepdim=True)
        classes, places = y.unique(return_inverse=True)
        return torch.stack([self(z, c.expand(samples)).mean(0) for c in classes])[places]


class ModulatedConv2d(nn.Module):
    """Convolves `(B, inputs, H, W)` with weights of each sample's own, by its style `(B, w_dim)`; same H and W.

    The style scales the weights of every input channel, `w'_oikl = s_i w_oikl`; demodulation then brings the weights
    of every output channel back to unit length, `w''_oikl = w'_oikl / sqrt(sum_ikl w'^2 + 1e-8)`. Both are done on the
    input and the output of one shared convolution, which is the same and many times faster.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, *, w_dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.scale = 1 / math.sqrt(inputs * kernel_size**2)
        self.style = ScaledLinear(w_dim, inputs, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight * self.scale
        x = F.conv2d(x * style[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            x = x * (style.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()[:, :, None, None]
        return x


class StyleLayer(nn.Module):
    """A modulated convolution, noise of a learned strength, bias and leaky ReLU; `up` doubles the image first."""

    def __init__(self, inputs: int, outputs: int, *, w_dim: int, up: bool = False) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, 3, w_dim=w_dim)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.up = up

    def forward(self, x: Tensor, w: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """With a `generator` the noise comes from it: the same for every sample of the batch, as for a moving style."""
        x = self.convolution(upsample(x) if self.up else x, w)
        batch, _, height, width = x.shape
        if generator is None:
            noise = torch.randn(batch, 1, height, width, device=x.device)
        else:
            noise = torch.randn(1, 1, height, width, generator=generator).to(x.device)
        return F.leaky_relu(x + self.noise_strength * noise + self.bias, SLOPE) * GAIN


class StyleGenerator(nn.Module):
    """Noise `(B, z_dim)`, and classes `(B,)` if there are any, -> images `(B, *shape)`, about in [-1, 1].

    `shape` is `(planes, H, W)`, H and W alike and 4 times a power of two. The last layers have `channels`, those before
    them up to `max_channels`; the image is the sum of what every resolution draws (`to_planes`), brought to full size.
    `style_mixing` is the share of training samples whose layers follow a second style from a random layer on.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int],
        z_dim: int = 64,
        classes: int = 0,
        w_dim: int = 64,
        channels: int = 16,
        max_channels: int = 64,
        mapping_layers: int = 4,
        style_mixing: float = 0.9,
    ) -> None:
        super().__init__()
        planes, height, width = shape
        levels = (height // 4).bit_length() - 1
        if levels < 1 or not height == width == 4 * 2**levels:
            raise ValueError(f"a style-based generator draws squares of 8, 16, 32, ... pixels, not {height}x{width}")
        widths = [min(max_channels, channels * 2 ** (levels - level)) for level in range(levels + 1)]
        self.mapping = MappingNetwork(z_dim=z_dim, w_dim=w_dim, classes=classes, layers=mapping_layers)
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.layers = nn.ModuleList([StyleLayer(widths[0], widths[0], w_dim=w_dim)])
        for wide, narrow in pairwise(widths):
            self.layers.append(StyleLayer(wide, narrow, w_dim=w_dim, up=True))
            self.layers.append(StyleLayer(narrow, narrow, w_dim=w_dim))
        self.to_planes = nn.ModuleList(
            ModulatedConv2d(wide, planes, 1, w_dim=w_dim, demodulate=False) for wide in widths
        )
        self.bias = nn.Parameter(torch.zeros(planes, 1, 1))
        self.style_mixing = style_mixing

    def forward(self, z: Tensor, y: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """`truncation` (psi) below 1 gives up variety for quality: styles are pulled towards the mean one."""
        styles = self.styles(z, y, truncation)
        if self.training and self.style_mixing:
            other = self.styles(torch.randn_like(z), y, truncation)
            styles = torch.where(self._random_tails(len(z), z.device), other, styles)
        return self.synthesise(styles)

    def styles(self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """The styles of `forward`, `(B, layers, w_dim)`: one style for all layers, `w_mean + psi (w - w_mean)`."""
        w = self.mapping(z, y)
        if truncation != 1:
            w = torch.lerp(self.mapping.mean_style(y).expand_as(w), w, truncation)
        return w[:, None].expand(-1, len(self.layers), -1)

    def synthesise(self, styles: Tensor, *, noise_seed: int | None = None) -> Tensor:
        """Styles `(B, layers, w_dim)`, one a layer, -> images; with `noise_seed` the noise of the layers is fixed."""
        generator = None if noise_seed is None else torch.Generator().manual_seed(noise_seed)
        x, picture = self.start.expand(len(styles), -1, -1, -1), self.bias
        for index, layer in enumerate(self.layers):
            x = layer(x, styles[:, index], generator)
            if index % 2 == 0:  # the last layer of its resolution
                drawn = self.to_planes[index // 2](x, styles[:, index])
                picture = drawn + (upsample(picture) if index else picture)
        return picture

    def _random_tails(self, batch: int, device: torch.device) -> Tensor:
        """`(batch, layers, 1)`, true from a random layer on for the share of samples whose styles are mixed."""
        layers = len(self.layers)
        start = torch.randint(1, layers, (batch, 1), device=device)
        mixed = torch.rand(batch, 1, device=device) < self.style_mixing
        return (mixed & (torch.arange(layers, device=device) >= start))[..., None]


def _normalise(z: Tensor) -> Tensor:
    """Every row of `(B, N)` scaled to a mean square of 1."""
    return F.normalize(z) * math.sqrt(z.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Twice as high and wide, bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
