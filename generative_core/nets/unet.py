"""Defines the image generator of pix2pix (Isola et al. 2017, arXiv:1611.07004): a U-Net that halves the picture down to
one pixel or a few, and keeps every detail in its skip connections."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from generative_core.nets.conv import smallest_map
from generative_core.nets.norm import Upsampling, norm2d, upsample2d


class UNetGenerator(nn.Module):
    """`(B, planes, H, W)` in [-1, 1] -> `(B, out_planes, H, W)` in [-1, 1]; H and W are multiples of `2**layers`, or
    `ValueError` is raised.

    With 8 layers it is the paper's U-Net for 256x256, with 7 the one for 128x128; at least 5. `dropout` silences half
    of the values in the inner decoder layers, and is the paper's only source of chance. A batch of one picture makes
    the paper's batch normalisation the same as instance normalisation, which does not change when training ends.

    The paper's skip connections begin at half of the picture's size, so that every edge is drawn anew from there. With
    `input_skip` the last layer gives `channels` planes, and two convolutions at full size make the picture of them and
    the input.
    """

    def __init__(
        self,
        *,
        planes: int = 3,
        out_planes: int = 3,
        channels: int = 64,
        layers: int = 8,
        norm: Literal["batch", "instance"] = "instance",
        dropout: bool = True,
        upsampling: Upsampling = "transposed",
        input_skip: bool = False,
    ) -> None:
        super().__init__()
        if layers < 5:
            raise ValueError(f"a U-Net of the paper has at least 5 layers, not {layers}")
        self.layers = layers
        self.multiple = 2**layers  # of which both sides are multiples
        bias = norm == "instance"  # batch normalisation has one of its own
        widths = [channels * min(2**layer, 8) for layer in range(layers)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for layer, width in enumerate(widths):
            down: list[nn.Module] = [nn.LeakyReLU(0.2, inplace=True)] if layer else []
            down.append(nn.Conv2d(widths[layer - 1] if layer else planes, width, 4, stride=2, padding=1, bias=bias))
            if 0 < layer < layers - 1:
                down += norm2d(norm, width)
            self.down.append(nn.Sequential(*down))

            inputs = width if layer == layers - 1 else 2 * width  # all but the innermost get a skip connection
            outputs = widths[layer - 1] if layer else channels if input_skip else out_planes
            up: list[nn.Module] = [nn.ReLU(inplace=True)]
            up.append(upsample2d(upsampling, inputs, outputs, kernel_size=4, bias=bias or not layer))
            if layer:
                up += norm2d(norm, outputs)
            else:
                up.append(nn.LeakyReLU(0.2) if input_skip else nn.Tanh())
            if dropout and 4 <= layer < layers - 1:
                up.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*up))
        self.at_full_size = (
            nn.Sequential(
                nn.Conv2d(channels + planes, channels, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, out_planes, 3, padding=1),
                nn.Tanh(),
            )
            if input_skip
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            smallest_map(x.shape[1:], self.layers)
        skips, picture = [], x
        for down in self.down:  # which changes x in place: rectified twice, what is skipped comes out the same
            x = down(x)
            skips.append(x)
        x = self.up[-1](skips.pop())
        for up in reversed(self.up[:-1]):
            x = up(torch.cat([skips.pop(), x], dim=1))
        return x if self.at_full_size is None else self.at_full_size(torch.cat([x, picture], dim=1))
