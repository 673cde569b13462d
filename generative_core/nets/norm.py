"""Builds the parts of image-to-image networks: normalisation and upsampling by name, and the papers' first weights."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import nn

Norm = Literal["none", "batch", "instance"]
Upsampling = Literal["transposed", "resize"]
Network = TypeVar("Network", bound=nn.Module)


def norm2d(norm: Norm, channels: int) -> list[nn.Module]:
    """The layer of that name for `(B, channels, H, W)`, as a list that is empty for "none"."""
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    return [nn.InstanceNorm2d(channels)] if norm == "instance" else []


def upsample2d(upsampling: Upsampling, before: int, after: int, *, kernel_size: Literal[3, 4], bias: bool) -> nn.Module:
    """`(B, before, H, W)` -> `(B, after, 2 H, 2 W)`: a transposed convolution, or pixels doubled and then convolved,
    which leaves no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003)."""
    if upsampling == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(before, after, 3, bias=bias))
    odd = kernel_size % 2
    return nn.ConvTranspose2d(before, after, kernel_size, stride=2, padding=1, output_padding=odd, bias=bias)


def initialise_normal(network: Network, deviation: float = 0.02) -> Network:
    """Draws all weights from a normal distribution around 0 (around 1 where they scale a normalised channel) and sets
    all biases to 0, as pix2pix and CycleGAN start; changes the network and returns it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, deviation)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network
