"""Walks through a latent space, for every family that decodes: `decode` takes `(B, latent)` to samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Decode = Callable[[Tensor], Tensor]


@torch.no_grad()
def interpolate(decode: Decode, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Samples on the straight lines between latents `start` and `end`, `(B, latent)` -> `(B, steps, ...)`, both ends
    included."""
    weights = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    lines = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), weights.view(1, -1, 1))
    return decode(lines.flatten(0, 1)).unflatten(0, (len(start), steps))


@torch.no_grad()
def traverse(decode: Decode, z: Tensor, dimension: int, values: Tensor) -> Tensor:
    """Samples of latents `z`, `(B, latent)`, with one dimension set to each of `values`, `(V,)`, in turn and all others
    left alone -> `(B, V, ...)`."""
    changed = z.unsqueeze(1).repeat(1, len(values), 1)
    changed[:, :, dimension] = values.to(z)
    return decode(changed.flatten(0, 1)).unflatten(0, (len(z), len(values)))
