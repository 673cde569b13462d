"""Removes steady background noise from speech: a fan, a street, the hiss of a microphone.

The noise is followed by how likely each bin of a spectrum holds nothing else (Gerkmann and Hendriks 2012, "Unbiased
MMSE-based noise power estimation"). Each bin is then attenuated by Wiener's rule, whose signal-to-noise ratio is the
decision-directed one (Ephraim and Malah 1984). Other voices and music are no noise in this sense, and stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME, HOP = 1024, 256  # samples, 46 and 12 ms
FIRST_SECONDS = 5.0  # of a recording, whose quietest frames are the first guess at its noise
QUIETEST = 0.02  # of its frames: few recordings have pauses for more
CLEAN_DB = 30.0  # from here on a recording is clean, and stays as it is
FLOOR = 10 ** (-18 / 20)  # the least that is left of a bin: less of it sounds like water
SMOOTHING = 0.98  # of the decision-directed signal-to-noise ratio
LEAST_SNR = 10 ** (-25 / 10)
SPEECH_SNR = 10 ** (15 / 10)  # of bins that hold speech, as Gerkmann and Hendriks suppose
STUCK = 0.99  # a bin that seems to hold speech for so long holds louder noise

Wav = NDArray[np.float32]


class NoiseRemover:
    """Speech in, the same with less noise out: `push` samples, get those that are ready, `flush` at the end.

    As many samples come out as went in. `first` `(T,)` is some of the speech, from which the noise is guessed.
    """

    def __init__(self, first: Wav) -> None:
        self.window = np.sqrt(np.hanning(FRAME + 1)[:-1]).astype(np.float32)
        self.scale = np.float32(HOP / np.square(self.window).sum())  # of overlapping frames
        powers = np.square(np.abs(np.fft.rfft(_frames(first) * self.window)))
        levels = powers.sum(axis=1)
        there = levels > 0
        self.clean = not there.any()
        if not self.clean:
            quiet = there & (levels <= np.quantile(levels[there], QUIETEST))
            self.noise = powers[quiet].mean(axis=0)
            self.clean = bool(levels[there].mean() > 10 ** (CLEAN_DB / 10) * self.noise.sum())
        self.presence = np.full(FRAME // 2 + 1, 0.5)  # of speech, in the mean of late
        self.speech = np.zeros(FRAME // 2 + 1)  # power of the last frame without its noise
        self.waiting = np.zeros(FRAME - HOP, np.float32)  # samples of the frames to come
        self.sums = np.zeros((FRAME // HOP, HOP), np.float32)  # of the frames that reach into what is next
        self.received, self.sent = 0, HOP - FRAME  # samples

    def push(self, wav: Wav) -> Wav:
        """`(n,)` -> `(m,)`, what is ready by now, possibly nothing."""
        if self.clean:
            return wav
        self.received += len(wav)
        self.waiting = np.concatenate([self.waiting, wav])
        frames = _frames(self.waiting)
        spectra = np.fft.rfft(frames * self.window)
        gains = [self._gain(power) for power in np.square(np.abs(spectra))]
        ready = self._overlap_add(np.fft.irfft(spectra * np.reshape(gains, spectra.shape)))
        self.waiting = self.waiting[len(frames) * HOP :]
        before = max(0, -self.sent)  # nothing was said before the first sample
        self.sent += len(ready)
        return ready[before:]

    def flush(self) -> Wav:
        """The rest: as many samples as are still owed."""
        if self.clean:
            return np.zeros(0, np.float32)
        owed = self.received - max(0, self.sent)
        rest = self.push(np.zeros(FRAME + HOP, np.float32))
        return rest[:owed]

    def _overlap_add(self, frames: NDArray[np.float64]) -> Wav:
        """Frames `(n, FRAME)` -> the samples that are complete with them, `(n * HOP,)`."""
        parts = (frames * self.window * self.scale).astype(np.float32).reshape(len(frames), FRAME // HOP, HOP)
        sums = np.concatenate([self.sums, np.zeros((len(frames), HOP), np.float32)])
        for number in range(FRAME // HOP):
            sums[number : number + len(frames)] += parts[:, number]
        self.sums = sums[len(frames) :]
        return sums[: len(frames)].reshape(-1)

    def _gain(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """What to multiply the bins of a frame with, `(FRAME // 2 + 1,)`."""
        if not power.any():
            return np.ones_like(power)
        odds = (1 + SPEECH_SNR) * np.exp(-power / self.noise * SPEECH_SNR / (1 + SPEECH_SNR))
        speech = 1 / (1 + odds)
        self.presence = 0.9 * self.presence + 0.1 * speech
        speech = np.where(self.presence > STUCK, np.minimum(speech, STUCK), speech)
        self.noise = 0.8 * self.noise + 0.2 * (speech * self.noise + (1 - speech) * power)
        now = np.maximum(power / self.noise - 1, 0)
        snr = np.maximum(SMOOTHING * self.speech / self.noise + (1 - SMOOTHING) * now, LEAST_SNR)
        gain = np.maximum(snr / (1 + snr), FLOOR)
        self.speech = np.square(gain) * power
        return gain


def remove_noise(wav: Wav, sample_rate: int) -> Wav:
    """Speech `(T,)` -> the same with less noise; a clean recording comes back as it is."""
    remover = NoiseRemover(wav[: round(FIRST_SECONDS * sample_rate)])
    return np.concatenate([remover.push(wav), remover.flush()])


def _frames(wav: Wav) -> Wav:
    """`(n,)` -> all whole frames in it, `(frames, FRAME)`."""
    if len(wav) < FRAME:
        return np.zeros((0, FRAME), np.float32)
    return np.lib.stride_tricks.sliding_window_view(wav, FRAME)[::HOP]
