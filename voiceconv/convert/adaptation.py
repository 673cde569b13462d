"""Adapts speech of an unknown speaker to the source speaker that a voice was trained on, in pitch and in tone.

The tone is the mean spectrum of a voice and its microphone, taken where somebody speaks. Bringing it nearer to that of
the voice's own source speaker is cepstral mean normalisation (Atal 1974) in part: a part only, because a few seconds
hold some sounds more often than others, and these are what is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOUD = 3.0  # nepers (26 dB) under a clip's loudest frame: what counts as speech
TERMS = 12  # of the cosine series over the bands: the tone, without any harmonics
SHARE = 0.6  # of the difference that is taken off; all of it costs words
HALF_BELIEVED_SECONDS = 0.5  # of speech


@dataclass(frozen=True)
class Adaptation:
    """How many semitones a speaker's pitch is moved, and what is then subtracted from their log-mels `(n_mels,)`."""

    shift: float
    tone: Tensor | None = None

    def apply(self, moved: Tensor) -> Tensor:
        """log-mel `(n_mels, T)` with its pitch moved -> as the networks know it from training."""
        return moved if self.tone is None else moved - self.tone[:, None]


def speech_frames(mel: Tensor) -> Tensor:
    """The frames of a clip's log-mel `(n_mels, T)` that are loud enough to be speech."""
    level = mel.mean(0)
    return mel[:, level > level.max() - LOUD]


def tone_between(mel: Tensor, usual: Tensor, seconds_per_frame: float) -> Tensor:
    """What is to be taken off log-mels like `mel` `(n_mels, T)` so that their mean comes nearer to `usual` `(n_mels,)`,
    the mean of `speech_frames` of the speaker that networks know."""
    spoken = speech_frames(mel)
    seconds = spoken.shape[1] * seconds_per_frame
    share = SHARE * seconds / (seconds + HALF_BELIEVED_SECONDS)
    return share * _cosine_series(spoken.mean(1) - usual.to(mel))


def _cosine_series(x: Tensor) -> Tensor:
    """`(n,)` -> the same from the first `TERMS` terms of its cosine series (DCT-II) alone."""
    positions = (torch.arange(len(x), device=x.device) + 0.5) * (math.pi / len(x))
    basis = torch.cos(torch.arange(TERMS, device=x.device)[:, None] * positions)
    basis = basis / basis.norm(dim=1, keepdim=True)
    return basis.T @ (basis @ x)
