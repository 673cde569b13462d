"""Defines the image generator of CycleGAN (Zhu et al. 2017, arXiv:1703.10593), after Johnson et al. 2016."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from generative_core.nets.norm import Upsampling, norm2d, upsample2d


class ResidualBlock2d(nn.Module):
    """Two 3x3 convolutions with normalisation around a skip connection; the shape stays."""

    def __init__(
        self, channels: int, *, norm: Literal["batch", "instance"] = "instance", dropout: bool = False
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            *norm2d(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            *norm2d(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """`(B, planes, H, W)` in [-1, 1] -> `(B, out_planes, H, W)` in [-1, 1]; H and W are multiples of 4.

    c7s1-64, d128, d256, `blocks` residual blocks, u128, u64, c7s1-3 in the paper's words: 6 blocks for pictures of
    128x128, 9 for larger ones.
    """

    multiple = 4  # of which both sides are multiples
    feature_layers = (0, 4, 7, 10, 14)  # what CUT looks at: pixels, both halvings, the first and the fifth block

    def __init__(
        self,
        *,
        planes: int = 3,
        out_planes: int = 3,
        channels: int = 64,
        blocks: int = 9,
        norm: Literal["batch", "instance"] = "instance",
        dropout: bool = False,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        bias = norm == "instance"  # batch normalisation has one of its own
        self.feature_channels = (planes, 2 * channels, 4 * channels, 4 * channels, 4 * channels)
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(planes, channels, 7, bias=bias),
            *norm2d(norm, channels),
            nn.ReLU(inplace=True),
        ]
        for width in (channels, 2 * channels):
            layers.append(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias))
            layers += [*norm2d(norm, 2 * width), nn.ReLU(inplace=True)]
        layers += [ResidualBlock2d(4 * channels, norm=norm, dropout=dropout) for _ in range(blocks)]
        for width in (4 * channels, 2 * channels):
            layers.append(upsample2d(upsampling, width, width // 2, kernel_size=3, bias=bias))
            layers += [*norm2d(norm, width // 2), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(channels, out_planes, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """What comes out of `feature_layers`, `(B, feature_channels[i], h, w)` each; at least 5 blocks."""
        found = []
        for place in range(self.feature_layers[-1] + 1):
            x = self.layers[place](x)
            if place in self.feature_layers:
                found.append(x)
        return found
