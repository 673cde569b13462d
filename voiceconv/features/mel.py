"""Computes mel-spectrograms: the only definition of them in this project.

It is the one that HiFi-GAN (Kong et al. 2020, arXiv:2010.05646) and the vocoders after it share: magnitude STFT
without centring, reflect-padded so that a clip of `T` samples gives `T // hop_length` frames, Slaney mel bands
with Slaney normalisation, natural logarithm with a floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceconv.errors import UserError

RATE_STEP = 50  # Hz
FULL_SCALE_MEL = 6.0  # what log-mels of sound within full scale stay under
BROKEN_MEL = 20.0  # no sound has such log-mels, and vocoders make any noise of them


@dataclass(frozen=True)
class MelConfig:
    """What a mel-spectrogram means: rates in Hz, lengths in samples. Voices and vocoders must agree on all of it."""

    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float = 8000.0
    log_floor: float = 1e-5

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MelConfig:
        """Rebuilds a definition read from a file; raises `UserError` for missing or unknown fields."""
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            raise UserError(
                f"The mel definition has the fields {sorted(values)}, but {sorted(expected)} are needed. "
                "The file comes from another program or another version of this one."
            )
        return cls(**values)

    def require_same(self, other: MelConfig, owner: str) -> None:
        """Raises `UserError`, naming the differing fields, unless `other` (of `owner`) is the same definition."""
        different = [
            f"{field.name} ({getattr(other, field.name)} instead of {getattr(self, field.name)})"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]
        if different:
            raise UserError(
                f"{owner} was made for another mel-spectrogram: {', '.join(different)}. "
                "Choose one with the same definition; mixing them gives noise."
            )

    def require_shape(self, mel: Tensor) -> None:
        """Raises `ValueError` unless `mel` is `(B, n_mels, frames)` with at least one frame."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] == 0:
            raise ValueError(f"expected a mel-spectrogram (B, {self.n_mels}, frames > 0), got {tuple(mel.shape)}")


class MelSpectrogram(nn.Module):
    """Waveform `(..., T)` in [-1, 1] -> log-mel `(..., n_mels, T // hop_length)`, differentiable.

    `win_length` equals `n_fft`; frame `i` is centred on sample `i * hop_length + hop_length // 2`.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, config: MelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MelConfig()
        assert config.win_length == config.n_fft
        filters = torchaudio.functional.melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.f_min,
            f_max=config.f_max,
            n_mels=config.n_mels,
            sample_rate=config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", filters, persistent=False)  # (n_freqs, n_mels)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def forward(self, wav: Tensor, semitones: float = 0.0) -> Tensor:
        """`semitones` moves pitch and formants together without touching the timing: the clip is read that much
        faster or slower, but frames are still taken where they were. Needs no phases, so nothing is smeared."""
        return self.from_magnitude(self.magnitude(wav, semitones))

    def magnitude(self, wav: Tensor, semitones: float = 0.0) -> Tensor:
        """`(..., T)` -> the magnitude spectrum `(..., T // hop_length, n_fft // 2 + 1)` behind the bands."""
        config = self.config
        padding = (config.n_fft - config.hop_length) // 2
        if wav.shape[-1] <= padding:
            raise ValueError(f"expected more than {padding} samples, got {wav.shape[-1]}")
        if semitones:
            return self.magnitude_at(wav, self.middles(wav.shape[-1]), semitones)
        padded = F.pad(wav.reshape(-1, 1, wav.shape[-1]), (padding, padding), mode="reflect")
        frames = padded.unfold(-1, config.n_fft, config.hop_length)
        return self.magnitude_of_frames(frames.reshape(*wav.shape[:-1], *frames.shape[2:]))

    def middles(self, samples: int) -> Tensor:
        """The samples that the frames of a clip are centred on."""
        hop_length = self.config.hop_length
        return torch.arange(samples // hop_length) * hop_length + hop_length // 2

    def magnitude_at(self, wav: Tensor, middles: Tensor, semitones: float = 0.0) -> Tensor:
        """`(..., T)` -> magnitudes `(..., len(middles), n_fft // 2 + 1)` of frames centred on these samples, with
        silence before and after the clip. With `semitones`, of the clip played that much faster, at these instants."""
        if semitones:
            rate, faster = self.config.sample_rate, self.faster_rate(semitones)
            wav = torchaudio.functional.resample(wav, rate, faster)
            middles = (2 * middles * faster + rate) // (2 * rate)  # rounded, exactly, wherever in a recording
        return self.magnitude_of_frames(self.frames_at(wav, middles))

    def frames_at(self, wav: Tensor, middles: Tensor) -> Tensor:
        """`(..., T)` -> stretches of it `(..., len(middles), n_fft)` centred on these samples, with silence before and
        after the clip."""
        n_fft = self.config.n_fft
        wav = F.pad(wav, (n_fft // 2, n_fft // 2))
        return wav.unfold(-1, n_fft, 1)[..., middles.to(wav.device), :]

    def faster_rate(self, semitones: float) -> int:
        """The sample rate in Hz at which a clip, read at `sample_rate`, sounds so many semitones higher: in steps of
        50 Hz, under 2 cents here, because for rates without a common divisor the resampling filter is gigabytes."""
        return round(self.config.sample_rate / 2 ** (semitones / 12) / RATE_STEP) * RATE_STEP

    def from_frames(self, frames: Tensor) -> Tensor:
        """Stretches of waveform `(..., frames, n_fft)` -> log-mel `(..., n_mels, frames)`."""
        return self.from_magnitude(self.magnitude_of_frames(frames))

    def magnitude_of_frames(self, frames: Tensor) -> Tensor:
        """Stretches of waveform `(..., n_fft)` -> magnitudes `(..., n_fft // 2 + 1)`."""
        return magnitude_of(torch.fft.rfft(frames * self.window))

    def centres(self) -> Tensor:
        """The middle of each band in Hz `(n_mels,)`."""
        freqs = torch.linspace(0, self.config.sample_rate / 2, len(self.filters), device=self.filters.device)
        return freqs @ self.filters / self.filters.sum(0)

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """`(..., frames, n_fft // 2 + 1)` -> log-mel `(..., n_mels, frames)`."""
        return (magnitude @ self.filters).clamp_min(self.config.log_floor).log().transpose(-1, -2)


def cosine_series(x: Tensor, terms: int) -> Tensor:
    """`(bands, ...)` -> the same from the first `terms` terms of the cosine series over its bands (DCT-II) alone: what
    is broad in a log-mel, without its harmonics."""
    positions = (torch.arange(len(x), device=x.device) + 0.5) * (math.pi / len(x))
    basis = torch.cos(torch.arange(terms, device=x.device)[:, None] * positions)
    basis = basis / basis.norm(dim=1, keepdim=True)
    return basis.T @ (basis @ x)


def magnitude_of(spectrum: Tensor) -> Tensor:
    """With a small constant that keeps the gradient finite where the signal is exactly zero."""
    return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


def standardise(mel: Tensor) -> Tensor:
    """A log-mel of speech, which is -5 +- 2, to about zero mean and unit variance, as networks like it."""
    return (mel + 5) / 2
