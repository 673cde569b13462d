"""Tracks the fundamental frequency (F0) of speech, and describes the pitch of a speaker in numbers.

The tracker follows Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound": the autocorrelation of a windowed frame divided by that of the window
gives a few candidates per frame, and a Viterbi search finds the path that is strong and does not leap. Where breath or
creak rings with the vocal tract's lowest resonance, that is the strongest candidate, far above what the speaker says; a
second pass (Hirst 2011, "The analysis by synthesis of speech melody") leaves such candidates out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F_MIN, F_MAX = 60.0, 600.0  # Hz: of speech
N_CANDIDATES = 6
VOICING_THRESHOLD = 0.55  # periodicity (1: perfectly periodic) under which a frame is better called unvoiced
SILENCE_THRESHOLD = 0.03  # of the clip's peak
SILENCE_FLOOR = 1e-4  # of full scale: nothing under it is called voiced, however quiet the rest is
OCTAVE_COST = 0.01  # per octave downwards: all multiples of the period are as strong as the period
OCTAVE_JUMP_COST = 1.0  # per octave and 10 ms
VOICING_COST = 0.2  # per change between voiced and unvoiced, and 10 ms
CEILING = 2.5  # times the third quartile of the first pass: as high as lively speech goes (Hirst 2011)
BLOCK = 1024  # frames analysed at once: bounds the memory for long recordings
MIN_SHARED_FRAMES = 10  # fewer frames voiced in both contours say nothing about a correlation


@dataclass(frozen=True)
class PitchStatistics:
    """Mean and standard deviation of the natural logarithm of F0 in Hz, over voiced frames."""

    mean: float
    std: float

    @property
    def median_hz(self) -> float:
        """The middle of the speaker's range in Hz (log F0 is close to symmetric)."""
        return float(np.exp(self.mean))

    @classmethod
    def from_f0(cls, contours: Iterable[NDArray[np.floating]]) -> PitchStatistics:
        """From F0 contours in Hz, 0 where unvoiced; `ValueError` where nothing is voiced.

        Frames further than three robust standard deviations from the median are left out: a few per cent of octave
        errors and voiced fricatives would otherwise double the deviation of a voice.
        """
        voiced = np.concatenate([np.asarray(f0, dtype=np.float64)[np.asarray(f0) > 0] for f0 in contours])
        if voiced.size == 0:
            raise ValueError("no voiced frame in any of the recordings")
        log_f0 = np.log(voiced)
        distance = np.abs(log_f0 - np.median(log_f0))
        log_f0 = log_f0[distance <= 3 * 1.4826 * np.median(distance)]  # 1.4826 x MAD is a normal's deviation
        return cls(mean=float(log_f0.mean()), std=max(float(log_f0.std()), 0.01))  # a monotone is no division by zero


def semitones_between(a: float, b: float) -> float:
    """How many semitones `b` lies above `a` (both in Hz)."""
    return float(12 * np.log2(b / a))


def extract_f0(
    wav: NDArray[np.floating], sample_rate: int, hop_length: int = 256, *, f_min: float = F_MIN, f_max: float = F_MAX
) -> NDArray[np.float32]:
    """F0 in Hz of `wav` `(T,)` as `(T // hop_length,)`, 0 where unvoiced; frame i is centred on
    sample `i * hop_length + hop_length // 2`, as in the mel-spectrogram."""
    wav = np.asarray(wav, dtype=np.float32)
    if wav.ndim != 1:
        raise ValueError(f"expected a waveform of shape (T,), got {wav.shape}")
    n_frames = len(wav) // hop_length
    if n_frames == 0:
        return np.zeros(0, dtype=np.float32)
    frame_length = round(3 / f_min * sample_rate)  # three of the longest periods
    left = frame_length // 2 - hop_length // 2
    padded = np.pad(wav, (max(left, 0), frame_length + hop_length))[max(-left, 0) :]
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop_length][:n_frames]
    loudest = float(np.abs(wav).max())
    blocks = [
        _candidates(frames[start : start + BLOCK], sample_rate, f_min, f_max, loudest)
        for start in range(0, n_frames, BLOCK)
    ]
    frequency = np.concatenate([block[0] for block in blocks])
    strength = np.concatenate([block[1] for block in blocks])
    f0 = _best_path(frequency, strength, hop_length / sample_rate)
    ceiling = CEILING * np.quantile(f0[f0 > 0], 0.75) if f0.any() else np.inf
    if f0.max() <= ceiling:
        return f0
    return _best_path(frequency, np.where(frequency > ceiling, -np.inf, strength), hop_length / sample_rate)


def _candidates(
    frames: NDArray[np.float32], sample_rate: int, f_min: float, f_max: float, loudest: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frequencies and strengths, `(n_frames, 1 + N_CANDIDATES)`, of each frame; the first is "unvoiced", 0 Hz."""
    n_frames, frame_length = frames.shape
    frames = frames - frames.mean(axis=1, keepdims=True)
    peak = np.abs(frames).max(axis=1)
    lag_min, lag_max = sample_rate / f_max, sample_rate / f_min
    n_fft = 2 ** int(np.ceil(np.log2(frame_length + lag_max + 2)))
    window = np.hanning(frame_length + 2)[1:-1].astype(np.float32)
    upsampling = 2  # a parabola misjudges the height of peaks as narrow as a sample, which favours lower octaves
    lags = np.arange(int(lag_max * upsampling) + 3)

    def autocorrelation(x: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.abs(np.fft.rfft(x, n_fft)) ** 2
        r = np.fft.irfft(power, n_fft * upsampling)[..., : len(lags)]
        return np.asarray(r / np.maximum(r[..., :1], 1e-12), dtype=np.float32)

    r = autocorrelation(frames * window) / autocorrelation(window)
    first = int(lag_min * upsampling)
    before, here, after = r[:, first - 1 : -2], r[:, first:-1], r[:, first + 1 :]
    is_peak = (here > before) & (here >= after) & (here > 0.5 * VOICING_THRESHOLD)
    curvature = np.minimum(before - 2 * here + after, -1e-12)
    shift = 0.5 * (before - after) / curvature
    height = np.where(is_peak, here - 0.25 * (before - after) * shift, -np.inf)
    f = sample_rate * upsampling / (np.arange(first, first + here.shape[1]) + np.where(is_peak, shift, 0))
    height = np.minimum(height, 1.0) - OCTAVE_COST * np.log2(f_max / f)
    height[(f < f_min) | (f > f_max)] = -np.inf
    best = np.argpartition(-height, N_CANDIDATES, axis=1)[:, :N_CANDIDATES]

    unvoiced = VOICING_THRESHOLD + np.maximum(
        0, 2 - peak / max(loudest, 1e-12) * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD
    )
    unvoiced[peak < SILENCE_FLOOR] = 2.0
    frequency = np.concatenate([np.zeros((n_frames, 1)), np.take_along_axis(f, best, 1)], axis=1)
    strength = np.concatenate([unvoiced[:, None], np.take_along_axis(height, best, 1)], axis=1)
    return frequency.astype(np.float32), strength.astype(np.float32)


def _best_path(
    frequency: NDArray[np.float32], strength: NDArray[np.float32], seconds_per_frame: float
) -> NDArray[np.float32]:
    """The Viterbi path `(n_frames,)` through candidates `(n_frames, n)` that maximises strength minus leaps."""
    n_frames = len(frequency)
    voiced = frequency > 0
    octaves = np.log2(np.where(voiced, frequency, 1.0))
    both = voiced[:-1, :, None] & voiced[1:, None, :]
    one = voiced[:-1, :, None] ^ voiced[1:, None, :]
    leap = np.abs(octaves[:-1, :, None] - octaves[1:, None, :])
    cost = (OCTAVE_JUMP_COST * leap * both + VOICING_COST * one) * (0.01 / seconds_per_frame)
    total = strength[0]
    previous = np.zeros(frequency.shape, dtype=np.intp)
    for i in range(1, n_frames):
        scores = total[:, None] - cost[i - 1]
        previous[i] = scores.argmax(axis=0)
        total = scores.max(axis=0) + strength[i]
    path = np.empty(n_frames, dtype=np.intp)
    path[-1] = total.argmax()
    for i in range(n_frames - 1, 0, -1):
        path[i - 1] = previous[i, path[i]]
    return frequency[np.arange(n_frames), path]


def mean_log_f0(f0: NDArray[np.floating]) -> float:
    """Mean natural logarithm of the voiced frames of a contour `(frames,)` in Hz, 0 where unvoiced; NaN if all are."""
    voiced = f0[f0 > 0]
    return float(np.log(voiced).mean()) if voiced.size else float("nan")


def f0_offset(f0: NDArray[np.floating], target_mean: float) -> float:
    """Semitones from the target's mean of natural-log F0 up to that of the contour `f0` `(frames,)` (Hz, 0 where
    unvoiced); NaN where nothing is voiced."""
    return float(12 / np.log(2) * (mean_log_f0(f0) - target_mean))


def f0_correlation(f0: NDArray[np.floating], source_f0: NDArray[np.floating]) -> float:
    """Pearson correlation of log F0 over the frames voiced in both contours (Hz, 0 where unvoiced); NaN where they
    are too few, or one contour is flat. Contours may differ in length at the end."""
    length = min(len(f0), len(source_f0))
    f0, source_f0 = np.asarray(f0[:length]), np.asarray(source_f0[:length])
    both = (f0 > 0) & (source_f0 > 0)
    if both.sum() < MIN_SHARED_FRAMES:
        return float("nan")
    a, b = np.log(f0[both].astype(np.float64)), np.log(source_f0[both].astype(np.float64))
    if np.ptp(a) < 1e-6 or np.ptp(b) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
