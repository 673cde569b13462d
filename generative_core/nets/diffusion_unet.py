"""Defines the U-Net of diffusion models (Ho et al. 2020, arXiv:2006.11239), conditioned on noise level, class, text and
picture.

Noise level and class scale and shift every block's features (Dhariwal & Nichol 2021, arXiv:2105.05233); a text is
attended to wherever pixels attend to each other; a picture enters beside the noisy one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets.conv import smallest_map
from generative_core.nets.text import TextEncoder

HEAD = 32  # channels of an attention head


class DiffusionUNet(nn.Module):
    """Noisy images `(B, planes, H, W)` and noise levels `(B,)`, in any unit of about 1, -> `(B, planes, H, W)`.

    `shape` is `(planes, H, W)`; a network can be used on other sizes than it was trained on. Every level has `blocks`
    blocks of `channels`, a multiple of 4, times its multiplier and halves H and W for the next; the last `attention`
    levels attend.
    With `classes` the network takes numbers `y` `(B,)` up to `classes`, which itself stands for none; with a `text`
    encoder it takes `tokens` `(B, L)`; with `image_planes` a picture `image` `(B, image_planes, H, W)`.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int],
        channels: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 1,
        attention: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
        text: TextEncoder | None = None,
        image_planes: int = 0,
    ) -> None:
        super().__init__()
        self.halvings = len(multipliers) - 1
        planes, _, _ = smallest_map(shape, self.halvings)
        width = 4 * channels
        words = text.start.shape[-1] if text else 0
        self.frequencies = channels
        self.level = nn.Sequential(nn.Linear(2 * channels, width), nn.SiLU(), nn.Linear(width, width))
        self.classes = nn.Embedding(classes + 1, width) if classes else None
        self.text = text
        self.text_summary = nn.Linear(words, width) if text else None

        def stage(inputs: int, outputs: int, level: int) -> _Stage:
            attends = level >= len(multipliers) - attention
            return _Stage(inputs, outputs, width, dropout, words if attends else None)

        self.enter = nn.Conv2d(planes + image_planes, channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        present, skipped = channels, [channels]
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(stage(present, multiplier * channels, level))
                present = multiplier * channels
                skipped.append(present)
            if level < self.halvings:
                self.down.append(nn.Conv2d(present, present, 3, stride=2, padding=1))
                skipped.append(present)
        self.middle = stage(present, present, self.halvings)
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(stage(present + skipped.pop(), multiplier * channels, level))
                present = multiplier * channels
            if level:
                self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(present, present, 3, padding=1)))
        self.leave = nn.Sequential(_norm(present), nn.SiLU(), _zero(nn.Conv2d(present, planes, 3, padding=1)))

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        *,
        y: Tensor | None = None,
        tokens: Tensor | None = None,
        image: Tensor | None = None,
    ) -> Tensor:
        smallest_map(x.shape[1:], self.halvings)
        embedding = self.level(_waves(level, self.frequencies))
        words = None
        if self.classes is not None:
            assert y is not None, "this network needs classes"
            embedding = embedding + self.classes(y)
        if self.text is not None and self.text_summary is not None:
            assert tokens is not None, "this network needs a text"
            words = self.text(tokens)
            embedding = embedding + self.text_summary(words[0][:, 0])
        if image is not None:
            x = torch.cat([x, image], dim=1)
        x = self.enter(x)
        kept = [x]
        for module in self.down:
            x = module(x, embedding, words) if isinstance(module, _Stage) else module(x)
            kept.append(x)
        x = self.middle(x, embedding, words)
        for module in self.up:
            x = module(torch.cat([x, kept.pop()], 1), embedding, words) if isinstance(module, _Stage) else module(x)
        return self.leave(x)


class _Stage(nn.Module):
    """A residual block, scaled and shifted by the embedding, and attention if `words`, the width of a text's tokens
    (0 without any), is given."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float, words: int | None) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.modulation = nn.Sequential(nn.SiLU(), _zero(nn.Linear(embedding, 2 * outputs)))
        self.norm = _norm(outputs)
        convolution = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), convolution)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = None if words is None else _Attention(outputs, words)

    def forward(self, x: Tensor, embedding: Tensor, words: tuple[Tensor, Tensor] | None) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        x = self.skip(x) + self.second(h)
        return x if self.attention is None else x + self.attention(x, words)


class _Attention(nn.Module):
    """Every pixel attends to all pixels and, where there is a text, to its tokens, in one softmax."""

    def __init__(self, channels: int, words: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = _norm(channels)
        self.pixels = nn.Linear(channels, 3 * channels)
        self.words = nn.Linear(words, 2 * channels) if words else None
        self.leave = _zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor, words: tuple[Tensor, Tensor] | None) -> Tensor:
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.pixels(pixels).chunk(3, dim=2)
        mask = None
        if self.words is not None and words is not None:
            tokens, counts = words
            word_key, word_value = self.words(tokens).chunk(2, dim=2)
            mask = F.pad(counts, (key.shape[1], 0), value=True)[:, None, None, :]
            key, value = torch.cat([key, word_key.to(key)], dim=1), torch.cat([value, word_value.to(value)], dim=1)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        h = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        return self.leave(h).transpose(1, 2).reshape(x.shape)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels // 4, 32), channels)  # groups of four channels or more


def _zero(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """A layer that starts with adding nothing."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _waves(level: Tensor, count: int) -> Tensor:
    """Noise levels `(B,)` -> `(B, 2 count)`, their sine and cosine at periods from 6 to 0.006."""
    periods = torch.logspace(0, 3, count, device=level.device, dtype=torch.float32)
    angles = level.float()[:, None] * periods
    return torch.cat([angles.sin(), angles.cos()], dim=1)
