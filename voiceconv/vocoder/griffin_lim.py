"""Finds phases for a mel-spectrogram by iteration: the vocoder `griffin-lim`, which needs no weights."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from voiceconv.features.mel import MelConfig, MelSpectrogram


class GriffinLim:
    """The fast Griffin-Lim algorithm (Perraudin et al. 2013) of torchaudio, on magnitudes that
    a non-negative fit recovers from the mel bands."""

    name = "griffin-lim"
    weights_sha256: str | None = None
    momentum = 0.99

    def __init__(self, mel: MelConfig | None = None, device: str | torch.device = "cpu", *, n_iter: int = 32) -> None:
        self.mel = mel or MelConfig()
        self.n_iter = n_iter
        spectrogram = MelSpectrogram(self.mel).to(device)
        self.filters, self.window = spectrogram.filters, spectrogram.window

    @classmethod
    def fits(cls, mel: MelConfig) -> bool:
        return True

    @classmethod
    def open(cls, mel: MelConfig, device: str | torch.device) -> GriffinLim:
        return cls(mel, device)

    @torch.no_grad()
    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        self.mel.require_shape(mel)
        # One by one: the iterations grow the rounding in which a batch differs from its clips to thousandths.
        return torch.cat([self._invert(clip[None]) for clip in mel])

    def _invert(self, mel: Tensor) -> Tensor:
        hop_length, frames = self.mel.hop_length, mel.shape[-1]
        # torchaudio centres frame i on sample i * hop_length, our mel half a hop later: a few more frames at each end,
        # cut off again, bring the two together and leave no sample without all of its frames.
        margin = self.mel.n_fft // (2 * hop_length)
        magnitude = F.pad(self._magnitude(mel), (margin, margin), mode="replicate")
        wav = torchaudio.functional.griffinlim(
            magnitude,
            self.window,
            self.mel.n_fft,
            hop_length,
            self.mel.win_length,
            power=1.0,
            n_iter=self.n_iter,
            momentum=self.momentum,
            length=None,
            rand_init=False,
        )
        start = margin * hop_length - hop_length // 2
        return wav[:, start : start + frames * hop_length].clamp(-1, 1)

    def pitch(self, mel: Tensor) -> None:
        return None

    def _magnitude(self, mel: Tensor) -> Tensor:
        """Linear magnitudes `(B, n_fft // 2 + 1, frames)` whose bands are `mel`: the multiplicative update of Lee
        and Seung (2001) for the Kullback-Leibler divergence, which keeps them positive and smooth."""
        bands = mel.to(self.filters).exp()
        filters = self.filters  # (n_freqs, n_mels)
        weight = filters.sum(1, keepdim=True).clamp_min(1e-12)  # 0 for frequencies above f_max: nothing is known there
        magnitude = filters @ (bands / filters.square().sum(0)[:, None])
        for _ in range(10):
            magnitude = magnitude / weight * (filters @ (bands / (filters.T @ magnitude).clamp_min(1e-12)))
        return magnitude
