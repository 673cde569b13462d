"""Estimates F0 from a mel-spectrogram alone, for the vocoder's source and to move a speaker's pitch.

A small convolutional network classifies every frame, unvoiced or one of many pitches, as CREPE (Kim et al. 2018,
arXiv:1802.06182) does for waveforms. Its answers are those of the tracker in `pitch.py`, which it learns from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtBlock1d
from voiceconv.features.mel import standardise

LOWEST_HZ = 55.0
STEP = 1 / 3  # semitones between neighbouring classes
PITCHES = 128  # up to 636 Hz
BLUR = 0.5  # semitones: neighbours of the true class are nearly as right
REACH = 3  # classes to either side of the most likely that its place is read from
PAUSE = 5  # frames: the source forgets its phase in a longer one
UNKNOWN_HZ = 150.0  # the held pitch before anything was voiced


class PitchEstimator(nn.Module):
    """log-mel `(B, n_mels, T)` -> logits `(B, 1 + PITCHES, T)`, the first of which is "unvoiced".

    A frame's answer depends on `lookahead` frames after it and `context` before it.
    """

    def __init__(
        self, n_mels: int, *, channels: int = 128, blocks: int = 4, kernel_size: int = 7, lookahead: int = 1
    ) -> None:
        super().__init__()
        self.padding = (kernel_size - 1 - lookahead, lookahead)
        self.context = (kernel_size - 1) * (blocks + 1) - lookahead
        self.enter = nn.Conv1d(n_mels, channels, kernel_size)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock1d(channels, kernel_size=kernel_size, scale=1 / blocks, lookahead=0) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, 1 + PITCHES)

    def forward(self, mel: Tensor) -> Tensor:
        return self.answer(self.blocks(self.enter(F.pad(standardise(mel), self.padding))))

    def answer(self, h: Tensor) -> Tensor:
        """What the blocks give, `(B, channels, T)` -> logits."""
        return self.leave(self.norm(h.transpose(1, 2))).transpose(1, 2)

    def contour(self, mel: Tensor) -> Tensor:
        """log-mel `(B, n_mels, T)` -> F0 in Hz `(B, T)`, 0 where unvoiced."""
        return self.decode(self(mel))

    @staticmethod
    def decode(logits: Tensor) -> Tensor:
        """-> F0 in Hz `(B, T)`, 0 where unvoiced."""
        probabilities = logits.softmax(1)
        unvoiced, pitches = probabilities[:, 0], probabilities[:, 1:]
        classes = torch.arange(PITCHES, device=logits.device)[:, None]
        near = (classes - pitches.argmax(1, keepdim=True)).abs() <= REACH
        weights = pitches * near
        place = (weights * classes).sum(1) / weights.sum(1).clamp_min(1e-9)
        return torch.where(unvoiced < 0.5, LOWEST_HZ * 2 ** (place * STEP / 12), torch.zeros_like(place))

    def loss(self, mel: Tensor, f0: Tensor) -> Tensor:
        """Cross-entropy in nats against F0 in Hz `(B, T)`, 0 where unvoiced; pitches are blurred a little."""
        classes = torch.arange(PITCHES, device=mel.device)[:, None] * STEP
        semitones = 12 * (f0.clamp_min(LOWEST_HZ / 2) / LOWEST_HZ).log2()[:, None]
        target = (-0.5 * ((classes - semitones) / BLUR).square()).softmax(1)
        voiced = (f0 > 0)[:, None]
        target = torch.cat([(~voiced).float(), target * voiced], dim=1)
        return -(target * self(mel).log_softmax(1)).sum(1).mean()


def hold(f0: Tensor) -> Tensor:
    """F0 in Hz `(..., T)` with every unvoiced stretch (0) at the last voiced value before it."""
    index = torch.arange(f0.shape[-1], device=f0.device).expand(f0.shape)
    last = torch.where(f0 > 0, index, -1).cummax(-1).values
    return torch.where(last >= 0, f0.gather(-1, last.clamp_min(0)), UNKNOWN_HZ)


def phases(
    f0: Tensor, voiced: Tensor, hop_length: int, sample_rate: int, *, start: float = 0.0, unvoiced_before: int = 0
) -> Tensor:
    """F0 in Hz, never 0, and voicing, `(..., T)` -> phases in radians at the middle of each frame, in double precision.

    Between the middles of two frames the frequency is their mean, so that stationary frames meet without a jump. The
    first phase is `start`; after more than `PAUSE` unvoiced frames (counting those `unvoiced_before`) it begins anew at
    0, so that errors of rounding never add up for longer than somebody speaks without a pause.
    """
    steps = (f0[..., 1:] + f0[..., :-1]).double() * (0.5 * hop_length / sample_rate)
    cycles = F.pad(steps.cumsum(-1), (1, 0)) + start / (2 * math.pi)
    index = torch.arange(f0.shape[-1], device=f0.device).expand(f0.shape)
    last_voiced = torch.where(voiced > 0, index, -1 - unvoiced_before).cummax(-1).values
    before = F.pad(last_voiced[..., :-1], (1, 0), value=-1 - unvoiced_before)
    begins = torch.where((voiced > 0) & (index - before > PAUSE + 1), index, -1).cummax(-1).values
    origin = torch.where(begins >= 0, cycles.gather(-1, begins.clamp_min(0)), 0.0)
    return 2 * math.pi * ((cycles - origin) % 1)
