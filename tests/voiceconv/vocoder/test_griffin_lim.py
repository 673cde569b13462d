"""What Griffin-Lim does beyond what every vocoder does, which is in test_base.py."""

from __future__ import annotations

import torch

from tests.signals import hum
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.griffin_lim import GriffinLim

to_mel = MelSpectrogram()


def test_griffin_lim_serves_other_definitions() -> None:
    config = MelConfig(sample_rate=16000, n_fft=512, win_length=512, hop_length=128, n_mels=40)
    wav = torch.from_numpy(hum(140, 0.7))
    mel = MelSpectrogram(config)(wav)
    again = load_vocoder("griffin-lim", config)(mel[None])
    assert again.shape == (1, mel.shape[-1] * 128)
    assert (MelSpectrogram(config)(again)[0] - mel)[mel > -9].abs().mean() < 0.3


def test_more_griffin_lim_is_closer() -> None:
    mel = to_mel(torch.from_numpy(hum(140, 1.0)))[None]

    def distance(n_iter: int) -> float:
        return float((to_mel(GriffinLim(n_iter=n_iter)(mel)) - mel).abs().mean())

    assert distance(32) < 0.8 * distance(2)
