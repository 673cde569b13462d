"""Sums up the measures of all recordings in a folder: how much speech, how high, how noisy, what is there twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from voiceconv.inspection.measures import Array, RecordingMeasures

SAME_SPEAKER = 2.5  # semitones either way; most sentences of one speaker lie in there
TOO_SHORT = 0.3  # seconds; less holds no word
MIN_VOICED = 0.1  # speech is voiced more than half of the time, a whisper or a noise hardly ever


@dataclass(frozen=True)
class FolderMeasures:
    """The measures of all readable recordings in a folder, and why the others could not be read (by name)."""

    folder: Path
    recordings: tuple[RecordingMeasures, ...]
    unreadable: dict[str, str]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def seconds(self) -> float:
        return sum(r.seconds for r in self.recordings)

    @cached_property
    def duplicates(self) -> dict[str, str]:
        """Names of files whose sound is in an earlier file -> that file."""
        first: dict[str, str] = {}
        audible = [r for r in self.recordings if not r.silent]
        return {r.name: first[r.digest] for r in audible if first.setdefault(r.digest, r.name) != r.name}

    @cached_property
    def spoken(self) -> tuple[RecordingMeasures, ...]:
        """The recordings that training can learn from: with a voice in them, each only once."""
        return tuple(r for r in self.recordings if has_voice(r) and r.name not in self.duplicates)

    @property
    def speech_seconds(self) -> float:
        return sum(r.speech_seconds for r in self.spoken)

    @property
    def f0(self) -> Array:
        """F0 in Hz of all voiced frames."""
        return np.concatenate([np.zeros(0), *(r.f0 for r in self.spoken)])

    @cached_property
    def pitch(self) -> float | None:
        """The pitch in Hz around which most files lie; unlike a median, it is a real one in a mix of two speakers."""
        pitches = np.sort([r.pitch for r in self.spoken if r.pitch is not None])
        if len(pitches) == 0:
            return None
        factor = 2 ** (SAME_SPEAKER / 12)
        low, high = np.searchsorted(pitches, [pitches / factor, pitches * factor])
        best = int(np.argmax(high - low))
        return float(np.median(pitches[low[best] : high[best]]))

    @property
    def snr(self) -> float | None:
        """dB; that of the upper quarter, since the noise floor of files with hardly a pause is taken too high."""
        return weighted_quantile([(r.snr, r.seconds) for r in self.spoken], 0.75)

    @cached_property
    def bandwidth(self) -> float | None:
        """Hz; the median file's, by minutes of speech."""
        return weighted_quantile([(r.bandwidth, r.speech_seconds) for r in self.spoken], 0.5)

    @property
    def sample_rate(self) -> float | None:
        """Hz; that of most of the speech."""
        return weighted_quantile([(r.sample_rate, r.speech_seconds) for r in self.spoken], 0.5)


def has_voice(r: RecordingMeasures) -> bool:
    return r.seconds >= TOO_SHORT and r.voiced_seconds >= MIN_VOICED * r.speech_seconds > 0


def weighted_quantile(values: list[tuple[float | None, float]], q: float) -> float | None:
    """The `q` quantile of pairs of value and weight, without those whose value is unknown."""
    known = [(value, weight) for value, weight in values if value is not None]
    if not known:
        return None
    of, weights = zip(*known, strict=True)
    return float(np.quantile(of, q, weights=weights, method="inverted_cdf"))
