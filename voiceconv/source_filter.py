"""Pitch and formants moved apart from each other, as a mel-spectrogram of a voice that was never recorded.

Speech is a source (the voice's harmonics or noise) shaped by a filter (the vocal tract). On the magnitude spectrum the
two come apart by smoothing (cepstral liftering, Oppenheim and Schafer 1968): the smooth envelope is the filter, what
remains the source. Moving the source changes the pitch and keeps the vowels; moving the filter changes the size of the
speaker. Perturbing training speech like this is the idea of NANSY (Choi et al. 2021, arXiv:2110.14513).
"""

from __future__ import annotations

import torch
from torch import Tensor

from voiceconv.mel import MelSpectrogram

ENVELOPE_SECONDS = 0.002  # finest detail of the envelope as a quefrency: well under the period of a high voice
FLOOR = 1e-5  # of magnitudes, before their logarithm


def move(
    mel: MelSpectrogram, wav: Tensor, pitch: float = 0.0, formants: float = 0.0, middles: Tensor | None = None
) -> Tensor:
    """Waveform `(..., T)` in [-1, 1] -> log-mel `(..., n_mels, T // hop_length)` of the same words with the voice's
    pitch and its formants moved by so many semitones, each on its own. The timing stays.

    With `middles` the frames are centred on these samples, and before and after the clip there is silence."""

    def magnitude(semitones: float = 0.0) -> Tensor:
        return mel.magnitude(wav, semitones) if middles is None else mel.magnitude_at(wav, middles, semitones)

    if not pitch and not formants:
        return mel.from_magnitude(magnitude())
    log_magnitude = magnitude().clamp_min(FLOOR).log()
    envelope = smooth(log_magnitude, ENVELOPE_SECONDS, mel)
    source = log_magnitude - envelope
    if pitch:
        ratio = 2 ** (pitch / 12)
        moved = magnitude(pitch).clamp_min(FLOOR).log()
        # Lowered, the recording's highest frequencies end below the top; mel bands up there show no harmonics anyway.
        known = min(int(0.95 * ratio * moved.shape[-1]), moved.shape[-1])
        moved = moved[..., :known]
        moved = moved - smooth(moved, ENVELOPE_SECONDS / ratio, mel)
        source = torch.cat([moved, source[..., known:]], dim=-1)
    return mel.from_magnitude((stretch(envelope, 2 ** (formants / 12)) + source).exp())


def smooth(log_magnitude: Tensor, seconds: float, mel: MelSpectrogram) -> Tensor:
    """The spectrum `(..., n_freqs)` without detail finer than the quefrency `seconds`: a cosine series, cut softly."""
    bins = log_magnitude.shape[-1]
    series = torch.fft.rfft(torch.cat([log_magnitude, log_magnitude.flip(-1)], dim=-1))
    hertz_per_bin = mel.config.sample_rate / mel.config.n_fft
    quefrency = torch.arange(series.shape[-1], device=series.device) / (2 * bins * hertz_per_bin)
    keep = 0.5 + 0.5 * torch.cos(torch.pi * ((quefrency / seconds - 0.5) / 0.75).clamp(0, 1))  # from 1/2 to 5/4
    return torch.fft.irfft(series * keep, 2 * bins)[..., :bins]


def stretch(spectrum: Tensor, ratio: float) -> Tensor:
    """`(..., n_freqs)` read so that what was at f comes to `ratio * f`; the top repeats where nothing is known."""
    if ratio == 1.0:
        return spectrum
    position = (torch.arange(spectrum.shape[-1], device=spectrum.device) / ratio).clamp_max(spectrum.shape[-1] - 1)
    below = position.floor().long().clamp_max(spectrum.shape[-1] - 2)
    share = position - below
    return spectrum[..., below] * (1 - share) + spectrum[..., below + 1] * share
