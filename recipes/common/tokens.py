"""Turns texts into tokens: words that are known, and the bytes of others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

BYTES = 257  # 0 is no token, then every byte


class Vocabulary:
    """The words of some texts that occur at least twice; any other word is spelled in bytes, with a space behind."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts = Counter(word for text in set(texts) for word in words(text))
        self.words = {word: BYTES + i for i, word in enumerate(sorted(w for w, count in counts.items() if count > 1))}

    def __len__(self) -> int:
        return BYTES + len(self.words)

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """Tokens `(N, length)`, filled up with zeros or cut off."""
        rows = []
        for text in texts:
            row: list[int] = []
            for word in words(text):
                row += [self.words[word]] if word in self.words else [1 + byte for byte in f"{word} ".encode()]
            rows.append((row + [0] * length)[:length])
        return torch.tensor(rows)


def words(text: str) -> list[str]:
    """Lower-case words, without punctuation."""
    return re.findall(r"[\w*#&]+", text.lower())
