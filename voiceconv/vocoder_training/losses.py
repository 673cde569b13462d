"""Measures how far a synthesised waveform is from the real one: the loss of a vocoder, and its scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceconv.features.mel import magnitude_of


class ReconstructionLoss(nn.Module):
    """`(fake, real)`, waveforms `(B, T)` -> the weighted term `mel`: the L1 distance of log-mel-spectrograms at several
    resolutions (Kumar et al. 2023, arXiv:2306.06546), up to half the sample rate: the mel that a vocoder is given ends
    below that. `scales` is {n_fft: n_mels}."""

    def __init__(self, sample_rate: int, scales: Mapping[int, int], *, lambda_mel: float = 15.0) -> None:
        super().__init__()
        self.lambda_mel = lambda_mel
        self.scales = list(scales)
        for n_fft, n_mels in scales.items():
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)
            filters = torchaudio.functional.melscale_fbanks(
                n_fft // 2 + 1, 0.0, sample_rate / 2, n_mels, sample_rate, norm="slaney", mel_scale="slaney"
            )
            self.register_buffer(f"filters_{n_fft}", filters, persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        terms = []
        for n_fft in self.scales:
            fake_mel, real_mel = (self._log_mel(self._spectrum(wav, n_fft)) for wav in (fake, real))
            terms.append(F.l1_loss(fake_mel, real_mel))
        return {"mel": self.lambda_mel * torch.stack(terms).mean()}

    def _spectrum(self, wav: Tensor, n_fft: int) -> Tensor:
        """`(B, n_fft // 2 + 1, frames)`."""
        window = self.get_buffer(f"window_{n_fft}")
        return torch.stft(wav, n_fft, n_fft // 4, window=window, return_complex=True)

    def _log_mel(self, spectrum: Tensor) -> Tensor:
        n_fft = 2 * (spectrum.shape[1] - 1)
        return (magnitude_of(spectrum).transpose(1, 2) @ self.get_buffer(f"filters_{n_fft}")).clamp_min(1e-5).log()


def log_mel_distance(fake: Tensor, real: Tensor) -> float:
    """Mean absolute difference of two natural-log mels of the same shape; 0.115 is 1 dB."""
    return float((fake - real).abs().mean())


def stft_distance(fake: Tensor, real: Tensor) -> float:
    """Relative error of the magnitudes of two waveforms `(T,)`, the mean over three resolutions: the spectral
    convergence of Arik et al. 2019 (arXiv:1808.06719). 0 is equal, 1 as far as silence."""
    errors = []
    for n_fft in (512, 1024, 2048):
        window = torch.hann_window(n_fft, device=real.device)
        a, b = (torch.stft(wav, n_fft, n_fft // 4, window=window, return_complex=True).abs() for wav in (fake, real))
        errors.append((a - b).norm() / b.norm().clamp_min(1e-9))
    return float(torch.stack(errors).mean())
