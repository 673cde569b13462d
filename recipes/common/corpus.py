"""Reads a corpus of synthetic speech, and labels the frames of a mel with its phonemes.

`recipes/many_voices.py` writes it; recipes that learn from it read it here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig

INDEX = "meta.jsonl"
SILENCE, BETWEEN_WORDS = "_", " "
STRESS, LONG = "ˈˌ", "ː"  # told in symbols of their own, before and after the one that they belong to


@dataclass(frozen=True)
class Recording:
    """One line of the index. Recordings of the same `number` say the same with the same timing, to the sample."""

    file: str
    number: int
    text: str
    language: str
    """As espeak-ng calls it."""
    phonemes: str
    """A symbol of IPA each, with stress, length and punctuation."""
    durations: tuple[float, ...]
    """Seconds of each symbol, with the pause before the first and that after the last one."""
    rhythm: str
    """The voice whose durations these are."""
    voice: str
    """A name, or a blend such as `af_sky*0.40+am_liam*0.60`."""
    speed: float

    def to_line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> Recording:
        return cls(**{**row, "durations": tuple(row["durations"])})  # type: ignore[arg-type]


def read_corpus(folder: Path) -> list[Recording]:
    """The recordings of a corpus, in the order in which they were made; raises `UserError` where there is none."""
    index = folder / INDEX
    if not index.is_file():
        raise UserError(f"{folder} holds no {INDEX}: give a folder that `python -m recipes.many_voices` wrote.")
    return whole_lines(index)


def whole_lines(index: Path) -> list[Recording]:
    """All recordings in an index, of which the last line may not be whole."""
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Recording.from_row(json.loads(line)) for line in lines if line.endswith("\n")]


def frame_labels(recording: Recording, n_frames: int, mel: MelConfig) -> list[str]:
    """The phoneme in the middle of each of the first `n_frames` frames of a recording's mel: `SILENCE` at the ends
    and at punctuation, `BETWEEN_WORDS` at a space, which may be silent or not."""
    units = [SILENCE, *recording.phonemes, SILENCE]
    for i, unit in enumerate(units):  # forwards: what is long goes on
        if unit == LONG:
            units[i] = units[i - 1]
    for i in reversed(range(len(units))):  # backwards: stress is heard in what follows
        if units[i] in STRESS:
            units[i] = units[i + 1]
    units = [unit if unit.isalpha() or unit == BETWEEN_WORDS else SILENCE for unit in units]
    middles = (np.arange(n_frames) * mel.hop_length + mel.hop_length / 2) / mel.sample_rate
    which = np.searchsorted(np.cumsum(recording.durations), middles, side="right")
    return [units[i] for i in np.minimum(which, len(units) - 1)]
