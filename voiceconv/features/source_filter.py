"""Moves pitch and formants of speech independently of each other, and gives the mel-spectrogram of the result.

Speech is a source (the voice's harmonics or noise) shaped by a filter (the vocal tract). Where something is voiced and
its pitch is known, a window of three periods and a smoothing as wide as the harmonics lie apart leave the filter alone:
CheapTrick, the envelope of WORLD (Morise 2015, doi:10.1016/j.specom.2014.09.003). Under it the harmonics are drawn anew
at another pitch, as the window shows them. Unvoiced sounds have no pitch and stay. Perturbing training speech like this
is the idea of NANSY (Choi et al. 2021, arXiv:2110.14513).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from voiceconv.features.mel import MelSpectrogram, cosine_series

PERIODS = 3.0  # in the envelope's window
RECOVERY = -0.15  # of what the smoothing flattened: q1 of CheapTrick
# What recordings drawn anew at their own pitch are nearest to them with: of a voiced frame's energy noise takes this
# share at 0 Hz, and all of it from here on; under the first harmonic there is little.
NOISE_SHARE = 0.006
ALL_NOISE_HZ = 4000.0
NOISE_SLOPE = 2  # of the noise's energy under the first harmonic, as a power of the frequency
GLIDE = 1.25  # of its way since the frame before a harmonic is smeared over
SHALLOWEST = 1e-8  # of the energy, between harmonics
UNVOICED_HZ = 150.0  # whose window reads the envelope of what has no pitch
FLOOR = 1e-5  # of magnitudes, before their logarithm
BLOCK = 512  # frames analysed at once: bounds the memory for long recordings
FORMANT_TERMS = 20  # of the cosine series over the bands that are formants; harmonics are finer


def move(
    mel: MelSpectrogram,
    wav: Tensor,
    f0: Tensor,
    pitch: float = 0.0,
    formants: float = 0.0,
    middles: Tensor | None = None,
    before: float = 0.0,
    contour: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Waveform `(T,)` in [-1, 1] and its F0 in Hz `(T // hop_length,)`, 0 where unvoiced, -> log-mel
    `(n_mels, T // hop_length)` of the same words with the voice's pitch and its formants moved by so many semitones,
    each on its own. The timing stays.

    With `middles` the frames, and those of `f0`, are centred on these samples, and `before` is the F0 of the frame
    before them. Before and after the clip is silence. With `contour`, which makes another F0 in Hz of one, the pitch
    becomes that and `pitch` does not matter."""
    frames = mel.frames_at(wav, mel.middles(wav.shape[-1]) if middles is None else middles)
    f0 = f0.to(frames)
    own = torch.where(f0 > 0, f0, UNVOICED_HZ)
    if contour is not None:
        wanted, glide = contour(own), glides(contour(f0), float(contour(f0.new_tensor(before))))
    else:
        ratio = 2 ** (pitch / 12)
        wanted, glide = own * ratio, glides(f0, before) * ratio
    redraw = contour is not None or bool(pitch)
    blocks = zip(*(x.split(BLOCK) for x in (frames, f0 > 0, own, wanted, glide)), strict=True)
    return torch.cat([_move(mel, block, formants, redraw=redraw) for block in blocks], dim=-1)


def _move(mel: MelSpectrogram, block: Sequence[Tensor], formants: float, *, redraw: bool) -> Tensor:
    """`move` for some frames: the frames, whether they are voiced, their pitch, the one that is wanted, and its glide,
    which matter if the harmonics are to be drawn anew."""
    frames, voiced, own, wanted, glide = block
    magnitude = mel.magnitude_of_frames(frames)
    if not redraw and not formants:
        return mel.from_magnitude(magnitude)
    envelope = log_envelope(mel, frames, own)
    moved = stretch(envelope, 2 ** (formants / 12))
    log_magnitude = magnitude.clamp_min(FLOOR).log() + moved - envelope
    if redraw:
        log_magnitude = torch.where(voiced[:, None], moved + log_harmonics(mel, wanted, glide), log_magnitude)
    return mel.from_magnitude(log_magnitude.exp())


def move_formants(mel: MelSpectrogram, log_mel: Tensor, semitones: float) -> Tensor:
    """log-mel `(n_mels, T)` -> with its formants moved by so many semitones; the harmonics stay where they are.

    The formants are what is broad over the bands, read as through a shorter or longer vocal tract (vocal tract length
    normalisation, Eide and Gish 1996, doi:10.1109/ICASSP.1996.541103)."""
    broad, centres = cosine_series(log_mel, FORMANT_TERMS), mel.centres().to(log_mel)
    wanted = centres / 2 ** (semitones / 12)
    below = (torch.searchsorted(centres, wanted) - 1).clamp(0, len(centres) - 2)
    share = ((wanted - centres[below]) / (centres[below + 1] - centres[below])).clamp(0, 1)
    return log_mel - broad + torch.lerp(broad[below], broad[below + 1], share[:, None])


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


def log_harmonics(mel: MelSpectrogram, f0: Tensor, glide: Tensor) -> Tensor:
    """Pitches in Hz and how far they have glided since the frame before, both `(frames,)` -> the logarithm of what is
    to be multiplied with an envelope, so that its magnitude shows harmonics as the mel's window (Hann) does, and noise
    between them `(frames, n_fft // 2 + 1)`; the energy stays, in the mean."""
    per_bin = mel.config.sample_rate / mel.config.n_fft
    width, smear = (f0 / per_bin)[:, None], (GLIDE * glide.abs() / per_bin)[:, None]
    bins = torch.arange(mel.config.n_fft // 2 + 1, device=f0.device)
    below = (bins / width).floor()
    # Beside a harmonic the next ones to either side reach into its window where they are near or smeared.
    power = torch.zeros_like(below)
    for number in (below + next_to for next_to in range(-1, 3)):
        broader = (1 + (number * smear).square()).sqrt()
        # A quarter one bin off, as the main lobe of a Hann window, whose energy it has: 1.5 over all bins.
        power += torch.exp2(-2 * ((bins - number * width) / broader).square()) / broader * (number > 0)
    noise = (NOISE_SHARE + (1 - NOISE_SHARE) * (bins * per_bin / ALL_NOISE_HZ).square()).clamp_max(1)
    under_the_first = (bins / width).clamp_max(1) ** NOISE_SLOPE
    return (noise * under_the_first + (1 - noise) * width / 1.5 * power).clamp_min(SHALLOWEST).log() / 2


def glides(f0: Tensor, before: float = 0.0) -> Tensor:
    """How far a pitch in Hz `(frames,)` has glided since the frame before, `before` at first; 0 where either is 0."""
    former = torch.cat([f0.new_tensor([before]), f0])[:-1]
    return torch.where((former > 0) & (f0 > 0), f0 - former, 0.0)


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
