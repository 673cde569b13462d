"""Defines a small transformer over the words of a short text, trained along with the network that reads it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """Tokens `(B, L)`, numbers below `vocabulary` with 0 for none, -> `(B, L + 1, width)` and which of them count,
    `(B, L + 1)`. L is at most `length`; a token of its own stands at the front, so that no text is a text, too."""

    def __init__(self, *, vocabulary: int, length: int, width: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.length = length
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=0)
        self.start = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(0.1 * torch.randn(1, length + 1, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        batch, length = tokens.shape
        if length > self.length:
            raise ValueError(f"a text may have {self.length} tokens, not {length}")
        counts = torch.cat([torch.ones_like(tokens[:, :1]), tokens], dim=1) != 0
        x = torch.cat([self.start.expand(batch, -1, -1), self.tokens(tokens)], dim=1) + self.places[:, : length + 1]
        return self.layers(x, src_key_padding_mask=~counts), counts
