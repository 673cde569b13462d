"""A pitch contour as a picture that a generator can follow: the mel-spectrogram of a bare pulse train.

A pulse train at F0 has every harmonic at the same strength and nothing else; its mel-spectrogram shows the network
where the harmonics of the converted voice belong, which leaves it only their strengths to learn. The idea of driving
a network with a sine or pulse source at a given F0 is that of the neural source-filter models (Wang et al. 2019).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voiceconv.mel import MelConfig, MelSpectrogram
from voiceconv.pitch import PitchStatistics

LOW, HIGH = -8.0, -2.0  # log-mel of silence and of the strongest harmonics, mapped to -1 and 1


def excitation(f0: NDArray[np.floating], mel: MelConfig) -> Tensor:
    """F0 `(frames,)` in Hz, 0 where unvoiced -> `(n_mels, frames)`, about -1 where nothing is and 1 on a harmonic."""
    hop = mel.hop_length
    voiced = np.asarray(f0) > 0
    if not voiced.any():
        return torch.full((mel.n_mels, len(f0)), -1.0)
    middles = np.arange(len(f0)) * hop + hop / 2
    samples = np.arange(len(f0) * hop)
    contour = np.exp(np.interp(samples, middles[voiced], np.log(np.asarray(f0, np.float64)[voiced])))
    sounding = np.interp(samples, middles, voiced.astype(np.float64))
    phase = 2 * np.pi * np.cumsum(contour) / mel.sample_rate
    harmonics = np.floor(mel.f_max / contour)
    # The sum of cos(k * phase) over all harmonics in closed form (Dirichlet's kernel), at the level of one of them.
    half = np.sin(phase / 2)
    at_pulse = np.abs(half) < 1e-6
    pulses = np.sin((harmonics + 0.5) * phase) / np.where(at_pulse, 1.0, 2 * half) - 0.5
    pulses[at_pulse] = harmonics[at_pulse]
    wav = torch.from_numpy((pulses * sounding / np.sqrt(harmonics) * 0.1).astype(np.float32))
    log_mel = MelSpectrogram(mel)(torch.nn.functional.pad(wav, (0, max(0, mel.n_fft - len(wav)))))[:, : len(f0)]
    return 2 * (log_mel.clamp(LOW, HIGH) - LOW) / (HIGH - LOW) - 1


def map_f0(f0: NDArray[np.floating], source: PitchStatistics, target: PitchStatistics) -> NDArray[np.float32]:
    """The contour `(frames,)` in the target's range: log F0 moved and scaled from one normal to the other."""
    f0 = np.asarray(f0, np.float64)
    log_f0 = np.log(np.where(f0 > 0, f0, 1.0))
    # Creaky ends of phrases, stretched, would fall below what a voice can do.
    mapped = np.exp((log_f0 - source.mean) * target.std / source.std + target.mean).clip(50.0, 700.0)
    return np.where(f0 > 0, mapped, 0.0).astype(np.float32)
