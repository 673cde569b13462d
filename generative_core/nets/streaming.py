"""Runs 1-D networks on a spectrogram that is still growing: each layer keeps the columns that it will need again.

The output, piece by piece, is that of the network for the whole spectrogram, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from generative_core.nets.convnext import ConvNeXtBlock1d


class Trunk(Protocol):
    """A convolution, padded by so many columns before and after, and ConvNeXt blocks."""

    enter: nn.Conv1d
    padding: tuple[int, int]
    blocks: nn.Sequential


class Streamed:
    """Layers one after the other, each with its padding, on pieces `(B, C, n)` of one picture -> `(B, channels, m)`."""

    def __init__(self, layers: Iterable[tuple[nn.Module, tuple[int, int]]]) -> None:
        self.layers = [_Layer(module, padding) for module, padding in layers]

    @classmethod
    def trunk(cls, network: Trunk) -> Streamed:
        """The convolution and the blocks of a network."""
        return cls([(network.enter, network.padding), *block_layers(network)])

    def push(self, x: Tensor) -> Tensor:
        """As many columns as are certain now: those whose neighbours to come are there."""
        return self._through(0, x)

    def flush(self) -> Tensor:
        """The columns that were held back; the stream ends with them."""
        ends = [self._through(number + 1, layer.flush()) for number, layer in enumerate(self.layers)]
        return torch.cat(ends, dim=-1)

    def _through(self, first: int, x: Tensor) -> Tensor:
        for layer in self.layers[first:]:
            x = layer.push(x)
        return x


def block_layers(network: Trunk) -> list[tuple[nn.Module, tuple[int, int]]]:
    """The blocks of a network, each with its padding."""
    return [(block, block.padding) for block in network.blocks if isinstance(block, ConvNeXtBlock1d)]


class _Layer:
    """A convolution or a block, with the columns that it still needs."""

    def __init__(self, module: nn.Module, padding: tuple[int, int]) -> None:
        self.module, (self.behind, self.ahead) = module, padding
        self.compute = module.valid if isinstance(module, ConvNeXtBlock1d) else module
        self.memory: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        if self.memory is None:
            self.memory = x.new_zeros(*x.shape[:2], self.behind)
        seen = torch.cat([self.memory, x], dim=-1)
        count = seen.shape[-1] - self.behind - self.ahead
        self.memory = seen[..., max(count, 0) :]
        if count > 0:
            return self.compute(seen)
        channels = self.module.out_channels if isinstance(self.module, nn.Conv1d) else x.shape[1]
        return x.new_zeros(x.shape[0], channels, 0)

    def flush(self) -> Tensor:
        """After the end there are zeros, as a convolution's padding has them."""
        assert self.memory is not None, "nothing was pushed"
        return self.push(self.memory.new_zeros(*self.memory.shape[:2], self.ahead))
