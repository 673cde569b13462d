"""Small convolutional networks between images and vectors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def _halvings(shape: Sequence[int], layers: int) -> tuple[int, int, int]:
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
        planes, height, width = _halvings(shape, layers)
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
        planes, height, width = _halvings(shape, layers)
        widths = [channels << layer for layer in reversed(range(layers))]
        modules: list[nn.Module] = [nn.Linear(latent, widths[0] * height * width), nn.ReLU()]
        modules.append(nn.Unflatten(1, (widths[0], height, width)))
        for before, after in zip(widths, [*widths[1:], planes], strict=True):
            modules += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*modules[:-1])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)
