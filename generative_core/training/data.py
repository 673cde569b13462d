"""Loads batches without end, from a position that is one number.

Batch number `n` depends on the seed and on `n` alone, so that a position can be saved, restored and replayed exactly,
with no worker or shuffling state to keep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


class Loader(Protocol):
    """What the trainer needs: batches without end, and a position to save."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]: ...
    def __next__(self) -> dict[str, Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Samples(Protocol):
    """What a loader draws from: a tensor `(N, ...)`, a list of tensors, or whatever is indexed like them."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Tensor: ...


def batch_generator(seed: int, position: int) -> torch.Generator:
    """The source of all randomness of batch number `position`."""
    # The CPU generator keeps 32 bits of its seed, so the two numbers have to be mixed rather than set side by side.
    mixed = np.random.SeedSequence([seed, position]).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))


class _Replayable(ABC):
    """A loader whose `draw` makes a batch of one source of randomness alone, and which knows how many it made."""

    def __init__(self, batch_size: int, seed: int) -> None:
        self.batch_size, self.seed, self.position = batch_size, seed, 0

    @abstractmethod
    def draw(self, generator: torch.Generator) -> dict[str, Tensor]: ...

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        self.position += 1
        return self.draw(batch_generator(self.seed, self.position - 1))

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seed, self.position = state["seed"], state["position"]


class UnpairedLoader(_Replayable):
    """Batches `{"a": (B, ...), "b": (B, ...)}` of samples drawn independently, with replacement, from two domains.

    `transform(sample, generator)` may augment a sample; it takes its randomness from the generator it is given.
    """

    def __init__(
        self,
        a: Samples,
        b: Samples,
        batch_size: int,
        *,
        seed: int = 0,
        transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        if not len(a) or not len(b):
            raise ValueError(f"both domains need samples, got {len(a)} and {len(b)}")
        self.domains = {"a": a, "b": b}
        self.transform = transform

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: self._draw(samples, generator) for name, samples in self.domains.items()}

    def _draw(self, samples: Samples, generator: torch.Generator) -> Tensor:
        chosen = [samples[int(i)] for i in torch.randint(len(samples), (self.batch_size,), generator=generator)]
        if self.transform is not None:
            chosen = [self.transform(sample, generator) for sample in chosen]
        return torch.stack(chosen)


class PairedLoader(_Replayable):
    """Batches `{"a": (B, ...), "b": (B, ...)}` of samples that belong together, drawn with replacement.

    `transform(a, b, generator)` may augment a pair, both sides alike; it takes its randomness from the generator it is
    given. Pairs may differ in size if it cuts them to one, or if a batch is a single pair.
    """

    def __init__(
        self,
        a: Samples,
        b: Samples,
        batch_size: int,
        *,
        seed: int = 0,
        transform: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        if len(a) != len(b) or not len(a):
            raise ValueError(f"pairs need as many samples on both sides, at least one, got {len(a)} and {len(b)}")
        self.a, self.b = a, b
        self.transform = transform

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(self.a), (self.batch_size,), generator=generator).tolist()
        pairs = [(self.a[row], self.b[row]) for row in rows]
        if self.transform is not None:
            pairs = [self.transform(a, b, generator) for a, b in pairs]
        return {"a": torch.stack([a for a, _ in pairs]), "b": torch.stack([b for _, b in pairs])}


class TensorLoader(_Replayable):
    """Batches `{name: (B, ...)}` from tensors `(N, ...)` that belong together row by row, such as images and labels.

    Rows are drawn with replacement: evenly, or in proportion to `weights`, `(N,)`, which may be replaced on the way.
    A batch is on the device of its tensors.
    """

    def __init__(self, tensors: Mapping[str, Tensor], batch_size: int, *, seed: int = 0) -> None:
        super().__init__(batch_size, seed)
        lengths = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(lengths.values())) != 1 or not all(lengths.values()):
            raise ValueError(f"the tensors need the same number of rows, at least one, got {lengths}")
        self.tensors = dict(tensors)
        self.rows = next(iter(lengths.values()))
        self.weights: Tensor | None = None

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        if self.weights is None:
            rows = torch.randint(self.rows, (self.batch_size,), generator=generator)
        else:
            rows = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
        return {name: tensor[rows.to(tensor.device)] for name, tensor in self.tensors.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.weights = state["weights"]
