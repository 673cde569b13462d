"""The image generator of CycleGAN (Zhu et al. 2017, arXiv:1703.10593), after Johnson et al. 2016."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock2d(nn.Module):
    """Two 3x3 convolutions with instance normalisation around a skip connection; the shape stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """`(B, planes, H, W)` in [-1, 1] -> `(B, out_planes, H, W)` in [-1, 1]; H and W are multiples of 4.

    c7s1-64, d128, d256, `blocks` residual blocks, u128, u64, c7s1-3 in the paper's words.
    """

    def __init__(self, *, planes: int = 3, out_planes: int = 3, channels: int = 64, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(planes, channels, 7),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
        ]
        for width in (channels, 2 * channels):
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * width), nn.ReLU()]
        layers += [ResidualBlock2d(4 * channels) for _ in range(blocks)]
        for width in (4 * channels, 2 * channels):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(width // 2),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(channels, out_planes, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
