"""Augments log-mels with random vocal-tract lengths, rooms, microphones, band limits and noise.

So a network learns to recognise what is said, whoever says it and wherever."""

from __future__ import annotations

import math

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.common.transcribed import blot
from voiceconv.features.mel import MelConfig

FORMANT_SEMITONES = 4.0  # either way: a child's vocal tract to a large man's
FORMANT_STEPS = 33
LONGEST_DECAY = 24  # frames of reverberation that are kept


class Channel:
    """Log-mels `(B, n_mels, T)` -> the same speech by somebody else, somewhere else."""

    def __init__(self, config: MelConfig) -> None:
        self.floor = math.log(config.log_floor)
        self.warps = warps(config)

    def __call__(self, x: Tensor) -> Tensor:
        x = reverberate(self.warp(x))
        batch, bands, frames = x.shape
        height = torch.arange(bands)[None, :, None] / (bands - 1)
        x = x + tone(batch, height) + band_limits(batch, height)
        hiss = torch.empty(batch, 1, 1).uniform_(-11, -4.5) + 0.5 * torch.randn(batch, bands, 1)
        hiss = hiss + 1.5 * torch.randn(batch, 1, 1) * (height - 0.5)
        x = torch.logaddexp(x, hiss + 0.5 * torch.randn(batch, bands, frames)).clamp_min(self.floor)
        return blot(x)

    def warp(self, x: Tensor) -> Tensor:
        """Moves formants (and the little that bands show of harmonics) in seven of ten cases."""
        chosen = torch.randint(FORMANT_STEPS, (len(x),))
        chosen = torch.where(torch.rand(len(x)) < 0.7, chosen, FORMANT_STEPS // 2)
        return self.warps[chosen] @ x


def warps(config: MelConfig) -> Tensor:
    """Matrices `(FORMANT_STEPS, n_mels, n_mels)` that read each band where it lies in a vocal tract of another length;
    the middle one changes nothing."""
    hertz = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min, fmax=config.f_max)[1:-1]
    bands = np.arange(config.n_mels)
    matrices = torch.zeros(FORMANT_STEPS, config.n_mels, config.n_mels)
    for matrix, semitones in zip(
        matrices, np.linspace(-FORMANT_SEMITONES, FORMANT_SEMITONES, FORMANT_STEPS), strict=True
    ):
        position = np.interp(hertz / 2 ** (semitones / 12), hertz, bands)
        below = np.minimum(position.astype(int), config.n_mels - 2)
        share = torch.from_numpy(position - below).float()
        matrix[bands, below] = 1 - share
        matrix[bands, below + 1] = share
    return matrices


def reverberate(x: Tensor) -> Tensor:
    """In half of the cases a room: energy that decays exponentially after each frame, at -2.5 to -6.5 nepers of it."""
    batch, bands, frames = x.shape
    decay = torch.empty(batch, 1).uniform_(3, 14)  # frames
    level = torch.empty(batch, 1).uniform_(-6.5, -2.5)
    level = torch.where(torch.rand(batch, 1) < 0.5, level, -torch.inf)
    response = torch.exp(level - torch.arange(LONGEST_DECAY) / decay)
    response[:, 0] = 1.0  # what comes directly
    energy = F.pad((2 * x).exp().reshape(1, batch * bands, frames), (LONGEST_DECAY - 1, 0))
    kernels = response.flip(1)[:, None].repeat_interleave(bands, 0)
    return F.conv1d(energy, kernels, groups=batch * bands).reshape(x.shape).clamp_min(1e-10).log() / 2


def tone(batch: int, height: Tensor) -> Tensor:
    """A level, a tilt, a few ripples over the bands at `height` (0 to 1), and in half of the cases a fine structure."""
    gain = 0.6 * torch.randn(batch, 1, 1) + 0.6 * torch.randn(batch, 1, 1) * (2 * height - 1)
    for ripples in range(1, 5):
        phase = 2 * torch.rand(batch, 1, 1)
        gain = gain + 0.25 * torch.randn(batch, 1, 1) * torch.cos(math.pi * (ripples * height + phase))
    fine = torch.where(torch.rand(batch, 1, 1) < 0.5, 0.15, 0.0)
    return gain + fine * torch.randn(batch, height.shape[1], 1)


def band_limits(batch: int, height: Tensor) -> Tensor:
    """In three of ten cases a steep fall towards the top, in two of ten towards the bottom."""
    top = torch.where(torch.rand(batch, 1, 1) < 0.3, 0.65 + 0.35 * torch.rand(batch, 1, 1), torch.inf)
    bottom = torch.where(torch.rand(batch, 1, 1) < 0.2, 0.12 * torch.rand(batch, 1, 1), -torch.inf)
    return -40 * (height - top).clamp_min(0) - 30 * (bottom - height).clamp_min(0)
