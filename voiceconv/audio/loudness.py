"""Measures loudness in LUFS (ITU-R BS.1770-4), of a whole recording or piece by piece, and levels recordings.

pyloudnorm does the first of these: it counts the incomplete block at the end of a recording, padded with silence, which
puts clips of two or three seconds up to 0.23 LU lower than the standard does, and refuses what is shorter than a block.
Where a recording ends with a block the two agree to 1e-11 LU, which a test holds them to.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LOUDNESS = -23.0  # LUFS, the level of EBU R 128
SILENCE_PEAK = 1e-3  # -60 dBFS: what never rises above it holds no speech
HIGHEST_PEAK = 0.99  # of full scale: what levelling raises a peak to at most
SOFTEST = -70.0  # LUFS: what is softer cannot be measured (BS.1770-4)

Wav = NDArray[np.float32]


def measure_loudness(wav: Wav, sample_rate: int) -> float:
    """Integrated loudness of mono `(T,)` in LUFS after ITU-R BS.1770-4; -inf for silence (under -70 LUFS).

    A clip shorter than the standard's block of 0.4 s is measured as one block.
    """
    meter = LoudnessMeter(sample_rate)
    meter.push(wav)
    return meter.loudness()


class LoudnessMeter:
    """`measure_loudness` of a wav that is pushed piece by piece; it keeps a number for each 0.1 s."""

    def __init__(self, sample_rate: int) -> None:
        self.hop = round(0.1 * sample_rate)
        # Filtered by FFT: scipy.signal, which has recursive filters, takes a second to import.
        self.before = np.zeros(
            2 * self.hop
        )  # what came last: after 0.2 s the filters have forgotten all but 1e-18 of it
        self.size = 2 ** math.ceil(math.log2(8 * len(self.before)))
        self.response = _response(_k_weighting(sample_rate), self.size)
        self.energies: list[NDArray[np.float64]] = []  # sums of squares of whole hops, K-weighted
        self.rest = np.zeros(0)  # K-weighted samples of the hop that is not yet whole
        self.samples = 0

    def push(self, wav: Wav) -> None:
        """Samples `(n,)`, any number of them."""
        self.samples += len(wav)
        new = self.size - len(self.before)
        for start in range(0, len(wav), new):
            block = np.concatenate([self.before, wav[start : start + new].astype(np.float64)])
            weighted = np.fft.irfft(np.fft.rfft(block, self.size) * self.response)[len(self.before) : len(block)]
            self.before = block[-len(self.before) :]
            block = np.concatenate([self.rest, weighted])
            whole = len(block) // self.hop * self.hop
            self.energies.append(np.square(block[:whole]).reshape(-1, self.hop).sum(axis=1))
            self.rest = block[whole:]

    def loudness(self) -> float:
        """In LUFS, of all that was pushed."""
        squares = np.concatenate([np.zeros(0), *self.energies])
        if self.samples < 4 * self.hop:
            power = (squares.sum(keepdims=True) + np.square(self.rest).sum()) / max(1, self.samples)
        else:
            power = np.convolve(squares, np.ones(4), "valid") / (4 * self.hop)
        power = power[power > _power_of(SOFTEST)]
        if not len(power):
            return -math.inf
        return _loudness_of(power[power > 0.1 * power.mean()].mean())  # the relative gate lies 10 dB under the mean


def normalise_loudness(wav: Wav, sample_rate: int, target: float = LOUDNESS) -> Wav:
    """`(T,)` brought to `target` LUFS, or as near as `HIGHEST_PEAK` allows; silence comes back unchanged."""
    return wav * gain_to(target, measure_loudness(wav, sample_rate), float(np.abs(wav).max(initial=0.0)))


def gain_to(target: float, loudness: float, peak: float) -> np.float32:
    """The factor by which `normalise_loudness` brings what is `loudness` LUFS loud and has this peak to `target`."""
    if peak < SILENCE_PEAK:
        return np.float32(1.0)
    return np.float32(min(10 ** ((target - max(loudness, SOFTEST)) / 20), HIGHEST_PEAK / peak))


def _k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The two filters of BS.1770-4 at any rate, as second-order sections `(2, 6)`.

    The standard tabulates them for 48 kHz only. Both are bilinear transforms of analogue filters; centres, qualities
    and gain as recovered from the tables by De Man ("Evaluation of implementations of the EBU R128 loudness
    measurement", 2018).
    """
    gain = 10 ** (3.999843853973347 / 20)
    shelf = _bilinear(1681.974450955533 / sample_rate, 0.7071752369554196, gain, gain**0.4996667741545416, 1.0)
    high_pass = _bilinear(38.13547087602444 / sample_rate, 0.5003270373238773, 1.0, 0.0, 0.0)
    high_pass[:3] = 1.0, -2.0, 1.0  # the standard leaves this numerator without its gain
    return np.array([shelf, high_pass])


def _response(sections: NDArray[np.float64], size: int) -> NDArray[np.complex128]:
    """Frequency response `(size // 2 + 1,)` of second-order sections `(n, 6)`, for a real FFT of `size` samples."""
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    return np.prod(
        [np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay) for b, a in sections.reshape(-1, 2, 3)], axis=0
    )


def _bilinear(centre: float, quality: float, *numerator: float) -> list[float]:
    """The section for `(n2 s^2 + n1 s / quality + n0) / (s^2 + s / quality + 1)`, `centre` in cycles a sample."""
    k = math.tan(math.pi * centre)

    def transform(c2: float, c1: float, c0: float) -> list[float]:
        c1, c0 = c1 * k / quality, c0 * k * k
        return [c2 + c1 + c0, 2 * (c0 - c2), c2 - c1 + c0]

    denominator = transform(1.0, 1.0, 1.0)
    return [value / denominator[0] for value in transform(*numerator) + denominator]


def _power_of(loudness: float) -> float:
    """LUFS -> mean square of the K-weighted samples."""
    return 10 ** ((loudness + 0.691) / 10)


def _loudness_of(power: float) -> float:
    """Mean square of the K-weighted samples -> LUFS."""
    return 10 * math.log10(power) - 0.691
