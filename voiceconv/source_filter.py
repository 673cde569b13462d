"""Pitch and formants moved apart from each other, as a mel-spectrogram of a voice that was never recorded.

Speech is a source (the voice's harmonics or noise) shaped by a filter (the vocal tract). Where something is voiced and
its pitch is known, a window of three periods and a smoothing as wide as the harmonics lie apart leave the filter alone:
CheapTrick, the envelope of WORLD (Morise 2015, doi:10.1016/j.specom.2014.09.003). Under it the harmonics are drawn anew
at another pitch, as the window shows them. Unvoiced sounds have no pitch and stay. Perturbing training speech like this
is the idea of NANSY (Choi et al. 2021, arXiv:2110.14513).
"""

from __future__ import annotations

import torch
from torch import Tensor

from voiceconv.mel import MelSpectrogram

PERIODS = 3.0  # in the envelope's window
RECOVERY = -0.15  # of what the smoothing flattened: q1 of CheapTrick
NOISE_SHARE = 0.1  # of a voiced frame's energy, between its harmonics as on them: nearest to recordings
UNVOICED_HZ = 150.0  # whose window reads the envelope of what has no pitch
FLOOR = 1e-5  # of magnitudes, before their logarithm
BLOCK = 512  # frames analysed at once: bounds the memory for long recordings


def move(
    mel: MelSpectrogram,
    wav: Tensor,
    f0: Tensor,
    pitch: float = 0.0,
    formants: float = 0.0,
    middles: Tensor | None = None,
) -> Tensor:
    """Waveform `(T,)` in [-1, 1] and its F0 in Hz `(T // hop_length,)`, 0 where unvoiced, -> log-mel
    `(n_mels, T // hop_length)` of the same words with the voice's pitch and its formants moved by so many semitones,
    each on its own. The timing stays.

    With `middles` the frames, and those of `f0`, are centred on these samples. Before and after the clip is silence."""
    frames = mel.frames_at(wav, mel.middles(wav.shape[-1]) if middles is None else middles)
    blocks = zip(frames.split(BLOCK), f0.to(frames).split(BLOCK), strict=True)
    return torch.cat([_move(mel, block, own, pitch, formants) for block, own in blocks], dim=-1)


def _move(mel: MelSpectrogram, frames: Tensor, f0: Tensor, pitch: float, formants: float) -> Tensor:
    magnitude = mel.magnitude_of_frames(frames)
    if not pitch and not formants:
        return mel.from_magnitude(magnitude)
    voiced = f0 > 0
    own = torch.where(voiced, f0, UNVOICED_HZ)
    envelope = log_envelope(mel, frames, own)
    moved = stretch(envelope, 2 ** (formants / 12))
    log_magnitude = magnitude.clamp_min(FLOOR).log() + moved - envelope
    if pitch:
        drawn = moved + log_harmonics(mel, own * 2 ** (pitch / 12))
        log_magnitude = torch.where(voiced[:, None], drawn, log_magnitude)
    return mel.from_magnitude(log_magnitude.exp())


def log_envelope(mel: MelSpectrogram, frames: Tensor, f0: Tensor) -> Tensor:
    """Stretches of waveform `(frames, n_fft)` whose pitch is `f0` in Hz `(frames,)` -> the logarithm of the magnitude
    `(frames, n_fft // 2 + 1)` that the mel's window would show if there were no harmonics."""
    n_fft, rate = mel.config.n_fft, mel.config.sample_rate
    width = (n_fft * f0.clamp_min(PERIODS * rate / n_fft) / rate)[:, None]  # of a harmonic, in bins; windows must fit
    time = (torch.arange(n_fft, device=frames.device) - n_fft / 2) / n_fft * width  # in periods
    window = torch.where(time.abs() < PERIODS / 2, 0.5 + 0.5 * torch.cos(2 * torch.pi / PERIODS * time), 0.0)
    window = window * (mel.window.norm() / window.norm(dim=1, keepdim=True))
    power = torch.fft.rfft(frames * window).abs().square()
    bins = torch.arange(power.shape[1], device=frames.device)
    # Below the first harmonic there is nothing to see: what lies above it is mirrored into there.
    power = power + torch.where(bins < width, _between(power, (width - bins).clamp_min(0)), 0.0)
    sums = torch.cat([power.flip(1)[:, :-1], power, power.flip(1)[:, 1:]], dim=1).double().cumsum(1)
    sums = torch.nn.functional.pad(sums, (1, 0))
    here = bins + power.shape[1] - 0.5
    smoothed = (_between(sums, here + width / 3) - _between(sums, here - width / 3)) / (2 / 3 * width)
    series = torch.fft.rfft(_mirrored(smoothed.to(power).clamp_min(FLOOR**2).log() / 2))
    quefrency = torch.arange(series.shape[1], device=frames.device) / n_fft * width  # in periods
    keep = torch.sinc(quefrency) * (1 - 2 * RECOVERY + 2 * RECOVERY * torch.cos(2 * torch.pi * quefrency))
    return torch.fft.irfft(series * keep, n_fft)[:, : power.shape[1]]


def log_harmonics(mel: MelSpectrogram, f0: Tensor) -> Tensor:
    """Pitches in Hz `(frames,)` -> the logarithm of what is to be multiplied with an envelope, so that its magnitude
    shows harmonics as the mel's window (Hann) does `(frames, n_fft // 2 + 1)`; the energy stays, in the mean."""
    n_fft = mel.config.n_fft
    width = (n_fft * f0 / mel.config.sample_rate)[:, None]
    bins = torch.arange(n_fft // 2 + 1, device=f0.device)
    below = (bins / width).floor()
    # Beside a harmonic the next ones to either side reach into its window where they are near.
    power = sum(
        _hann_lobe(bins - number * width).square() * (number > 0) for number in (below - 1, below, below + 1, below + 2)
    )
    energy_of_lobe = 1.5  # the sum of its squares over the bins: 1 and twice 1/2
    return (NOISE_SHARE + (1 - NOISE_SHARE) * width / energy_of_lobe * power).log() / 2


def _hann_lobe(distance: Tensor) -> Tensor:
    """The main lobe of a Hann window's spectrum at a distance in bins, 1 in its middle and 0 from two bins on."""
    near = (1 - distance.square()).abs() < 1e-4  # sinc and denominator vanish together, the quotient is 1/2
    lobe = torch.where(near, 0.5, torch.sinc(distance) / torch.where(near, 1.0, 1 - distance.square()))
    return torch.where(distance.abs() < 2, lobe, 0.0)


def _mirrored(spectrum: Tensor) -> Tensor:
    """`(..., n_fft // 2 + 1)` -> all `n_fft` bins of what is even."""
    return torch.cat([spectrum, spectrum[..., 1:-1].flip(-1)], dim=-1)


def _between(values: Tensor, position: Tensor) -> Tensor:
    """Each row of `values` `(rows, n)` read at the positions `(rows, m)`, between its entries where need be."""
    below = position.floor().long().clamp(0, values.shape[1] - 2)
    share = position - below
    return values.gather(1, below) * (1 - share) + values.gather(1, below + 1) * share


def stretch(spectrum: Tensor, ratio: float) -> Tensor:
    """`(..., n_freqs)` read so that what was at f comes to `ratio * f`; the top repeats where nothing is known."""
    if ratio == 1.0:
        return spectrum
    position = (torch.arange(spectrum.shape[-1], device=spectrum.device) / ratio).clamp_max(spectrum.shape[-1] - 1)
    below = position.floor().long().clamp_max(spectrum.shape[-1] - 2)
    share = position - below
    return spectrum[..., below] * (1 - share) + spectrum[..., below + 1] * share
