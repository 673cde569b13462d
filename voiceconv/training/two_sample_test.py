"""Scores conversions by a two-sample test: how hard they are to tell from the speaker's own recordings.

For every question a new classifier is trained, and it answers for clips that it was not trained on: the classifier
two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545). The generators have learned to fool the discriminators of
their training, but this classifier they have not met. Unlike a speaker encoder, it needs no other voices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from generative_core.nets import PatchClassifier
from generative_core.training.data import UnpairedLoader
from voiceconv.training.dataset import MelCrops

FRAMES = 64
BATCH_SIZE = 16  # of each kind
LEVEL = 0.3  # deviation of crops' levels, in those of the bands: loudness is no sign of the speaker


def confusion(
    real: Sequence[Tensor],
    made: Sequence[Tensor],
    held_out: Sequence[Tensor],
    held_out_made: Sequence[Tensor],
    steps: int,
) -> float:
    """From 0 (told apart with certainty) to 1 (all the same to the classifier): its cross-entropy on crops of the
    `held_out` clips over that of guessing, after `steps` on `real` and `made` ones.

    All are log-mels `(n_mels, frames)` of zero mean and unit variance in every band. The same for the same clips.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = PatchClassifier()
        optimizer = torch.optim.AdamW(classifier.parameters(), 1e-3)
        # Falling to zero: at a steady rate the answers differ much from one step to the next.
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        a, b = (MelCrops([mel[None] for mel in mels], FRAMES) for mels in (real, made))
        loader = UnpairedLoader(a, b, BATCH_SIZE, seed=0, transform=_change_level)
        labels = torch.arange(2).repeat_interleave(BATCH_SIZE)
        with torch.enable_grad():
            for _ in range(steps):
                batch = next(loader)
                loss = F.cross_entropy(classifier(torch.cat([batch["a"], batch["b"]])), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        with torch.no_grad():
            losses = [
                F.cross_entropy(classifier(_windows(mels)), torch.tensor(kind).expand(len(_windows(mels))))
                for kind, mels in enumerate((held_out, held_out_made))
            ]
    return min(1.0, float(sum(losses)) / 2 / math.log(2))


def _change_level(crop: Tensor, generator: torch.Generator) -> Tensor:
    return crop + LEVEL * torch.randn((), generator=generator)


def _windows(mels: Sequence[Tensor]) -> Tensor:
    """Half-overlapping crops `(n, 1, n_mels, FRAMES)` of all the clips, short ones repeated."""
    long = [mel.repeat(1, -(-FRAMES // mel.shape[1])) for mel in mels]
    return torch.cat([mel.unfold(1, FRAMES, FRAMES // 2).transpose(0, 1)[:, None] for mel in long])
