"""Measures one recording of speech: levels, noise, clipping, bandwidth and pitch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.decoding import mono_blocks
from voiceconv.audio.files import resample
from voiceconv.audio.loudness import SILENCE_PEAK, measure_loudness
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0

Array = NDArray[np.floating]

FRAME_SECONDS = 0.02  # also makes the bins of a frame's spectrum 50 Hz wide
BAND_HZ = 100
N_BANDS = 240  # spectra end at 24 kHz, above what anyone hears
BLOCK = 4096  # frames transformed at once: bounds the memory for long recordings

DIGITAL_SILENCE = -100.0  # dBFS; under the rounding noise of 16 bits, so it says nothing about the room
SPEECH_RANGE = 40.0  # dB under the loudest frames; the weakest consonants are about that much weaker than vowels
ABOVE_NOISE = 6.0  # dB
LONGEST_GAP = 0.3  # seconds; shorter ones belong to the words around them
SHORTEST_BURST = 0.06  # seconds; shorter ones are clicks
NOISE_SECONDS = 2.0  # shorter recordings may hold a word and no pause, which would make the word the noise

FULL_SCALE = 0.9999  # the highest value of 16 bits is above; lossy codecs overshoot where the original was clipped
FLAT_TOP = 3  # samples; a rounded wave never repeats its highest value that often
MIN_CLIPPED_SAMPLES = 10  # recordings scaled to full scale touch it a few times without harm

BANDWIDTH_RANGE = 85.0  # dB under the strongest band; what resamplers, MP3 and rounding leave is weaker
BANDWIDTH_MARGIN = 3.0  # dB by which speech raises a band over the pauses; noise alone is no bandwidth
MIN_PAUSE_SECONDS = 0.2  # for a spectrum of the pauses

PITCH_RATE = 16000
PITCH_HOP = 256
MIN_VOICED_SECONDS = 0.5  # a median over less is one exclamation


@dataclass(frozen=True, eq=False)
class RecordingMeasures:
    """One file's measures. Levels are dB relative to full scale, spectra power per 100 Hz band (NaN over Nyquist)."""

    name: str  # relative to the folder
    sample_rate: int
    seconds: float
    speech_seconds: float
    peak: float
    loudness: float  # LUFS, -inf for silence
    clipped: float  # share of the samples
    speech_level: float | None  # None where there is no speech
    noise_level: float | None  # None for recordings too short to tell
    bandwidth: float | None  # Hz up to which there is speech, whatever the sample rate says
    f0: Array  # Hz, of the voiced frames only
    speech_spectrum: Array  # (N_BANDS,)
    pause_spectrum: Array | None  # (N_BANDS,)
    digest: str  # equal for files that sound the same
    warnings: tuple[str, ...] = ()  # about how it was read

    @property
    def snr(self) -> float | None:
        """dB from the noise floor in the pauses to the mean level of speech."""
        if self.noise_level is None or self.speech_level is None:
            return None
        return self.speech_level - self.noise_level

    @property
    def voiced_seconds(self) -> float:
        return len(self.f0) * PITCH_HOP / PITCH_RATE

    @property
    def pitch(self) -> float | None:
        """The median F0 in Hz; None where too little is voiced to tell."""
        return float(np.median(self.f0)) if self.voiced_seconds >= MIN_VOICED_SECONDS else None

    @property
    def silent(self) -> bool:
        return self.peak < SILENCE_PEAK


def measure(path: Path, name: str) -> RecordingMeasures:
    """Measures the file, at its own sample rate; raises `UserError` or `OSError` if it cannot be read."""
    warnings: list[str] = []
    wav, rate = _read(path, warnings.append)
    clipped = clipped_share(wav)
    wav = wav - wav.mean(dtype=np.float64).astype(np.float32)
    length = max(1, round(rate * FRAME_SECONDS))
    frames = wav[: len(wav) // length * length].reshape(-1, length)
    # The variance, not the power: digital silence stays silent when the file has an offset.
    levels = 10 * np.log10(frames.var(axis=1, dtype=np.float64) + 1e-20)
    peak = float(np.abs(wav).max(initial=0))
    speech = find_speech(levels) if peak >= SILENCE_PEAK else np.zeros(len(levels), dtype=bool)
    pause = ~speech & (levels > DIGITAL_SILENCE)
    f0 = extract_f0(resample(wav, rate, PITCH_RATE), PITCH_RATE, PITCH_HOP)
    speech_spectrum = mean_spectrum(frames, speech, rate)
    pause_spectrum = mean_spectrum(frames, pause, rate) if pause.sum() * FRAME_SECONDS >= MIN_PAUSE_SECONDS else None
    return RecordingMeasures(
        name=name,
        sample_rate=rate,
        seconds=len(wav) / rate,
        speech_seconds=float(speech.sum() * FRAME_SECONDS),
        peak=peak,
        loudness=measure_loudness(wav, rate),
        clipped=clipped,
        speech_level=mean_level(levels[speech]),
        noise_level=noise_floor(levels),
        bandwidth=find_bandwidth(speech_spectrum, pause_spectrum),
        f0=f0[f0 > 0],
        speech_spectrum=speech_spectrum,
        pause_spectrum=pause_spectrum,
        digest=hashlib.blake2b(np.round(wav * 32767).astype("<i2").tobytes(), digest_size=16).hexdigest(),
        warnings=tuple(warnings),
    )


def _read(path: Path, warn: Callable[[str], None]) -> tuple[NDArray[np.float32], int]:
    """The samples `(T,)` as they are stored: resampling or scaling would hide clipping, rate and bandwidth."""
    blocks = list(mono_blocks(path.absolute(), warn=warn))
    if sum(len(block) for _, block in blocks) == 0:
        raise UserError("There is no sound in it: 0 samples. Record or export it again.")
    rate = blocks[0][0]
    # The rate of chained files may change midway; whatever comes first counts.
    return np.concatenate([resample(block, block_rate, rate) for block_rate, block in blocks]), rate


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where runs of True begin and where they have ended."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def find_speech(levels: Array) -> NDArray[np.bool_]:
    """Which 20 ms frames, given their levels in dBFS, hold speech: a threshold between the file's noise and its peaks,
    then short gaps closed and clicks dropped."""
    audible = levels[levels > DIGITAL_SILENCE]
    if len(audible) == 0:
        return np.zeros(len(levels), dtype=bool)
    quiet, loud = np.percentile(audible, [5, 95])
    # In a clip without a pause the quietest frames are speech too, hence not above the middle of the range.
    speech = levels > max(loud - SPEECH_RANGE, min(quiet + ABOVE_NOISE, (quiet + loud) / 2))
    for start, end in zip(*runs(~speech), strict=True):
        if start > 0 and end < len(speech) and (end - start) * FRAME_SECONDS <= LONGEST_GAP:
            speech[start:end] = True
    for start, end in zip(*runs(speech), strict=True):
        if (end - start) * FRAME_SECONDS < SHORTEST_BURST:
            speech[start:end] = False
    return np.asarray(speech)


def mean_level(levels: Array) -> float | None:
    return float(10 * np.log10(np.mean(10 ** (levels / 10)))) if len(levels) else None


def noise_floor(levels: Array) -> float | None:
    """The level in dBFS that the quietest twentieth of the frames stays under, without those of digital silence; None
    for too short a recording."""
    audible = levels[levels > DIGITAL_SILENCE]
    return float(np.percentile(audible, 5)) if len(audible) * FRAME_SECONDS >= NOISE_SECONDS else None


def clipped_share(wav: Array) -> float:
    """The share of samples at full scale or on a flat top at the file's own limits (clipped, then made quieter)."""
    clipped = np.abs(wav) >= FULL_SCALE
    for side in (wav, -wav):
        starts, ends = runs(side >= side.max(initial=0) - 1e-4)
        for start, end in zip(starts, ends, strict=True):
            if end - start >= FLAT_TOP and side[start] > SILENCE_PEAK:
                clipped[start:end] = True
    count = int(clipped.sum())
    return count / len(wav) if count >= MIN_CLIPPED_SAMPLES else 0.0


def mean_spectrum(frames: Array, chosen: NDArray[np.bool_], rate: int) -> Array:
    """The mean power of the chosen frames `(n, length)` in bands of 100 Hz, `(N_BANDS,)`; NaN where nothing is."""
    bands = np.full(N_BANDS, np.nan)
    indices = np.flatnonzero(chosen)
    if len(indices) == 0:
        return bands
    window = np.hanning(frames.shape[1])
    power = np.zeros(frames.shape[1] // 2 + 1)
    for start in range(0, len(indices), BLOCK):
        block = frames[indices[start : start + BLOCK]] * window
        power += (np.abs(np.fft.rfft(block)) ** 2).sum(axis=0)
    power *= 2 / (len(indices) * frames.shape[1] * (window**2).sum())
    n = min(N_BANDS, int(rate / 2 / BAND_HZ), len(power) // 2)
    bands[:n] = power[: 2 * n].reshape(n, 2).sum(axis=1)
    return bands


def find_bandwidth(speech: Array, pause: Array | None) -> float | None:
    """The highest frequency in Hz that speech reaches, from the mean spectra `(N_BANDS,)` of speech and of pauses."""
    level = 10 * np.log10(speech[~np.isnan(speech)] + 1e-20)
    if len(level) == 0:
        return None
    present = level > level.max() - BANDWIDTH_RANGE
    if pause is not None:
        present &= level > 10 * np.log10(pause[: len(level)] + 1e-20) + BANDWIDTH_MARGIN
    starts, ends = runs(present)
    ends = ends[ends - starts >= 3]  # a lone band may be chance, or the whine of some machine
    return float(ends[-1] * BAND_HZ) if len(ends) else None
