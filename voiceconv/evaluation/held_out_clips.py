"""Finds the held-out clips of a speaker, which no training has used, and what is said in them."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.decoding import mono_blocks
from voiceconv.audio.files import MIN_SECONDS, find_audio, load_audio
from voiceconv.audio.formats import AUDIO_EXTENSIONS
from voiceconv.errors import UserError
from voiceconv.evaluation.text import normalise_text
from voiceconv.user_data import normalised
from voiceconv.voice.validation import require_clip_lists

AT_LEAST = 2  # clips of a speaker: each is compared with the others


@dataclass(frozen=True)
class Clip:
    """A recording `(T,)` at the voice's sample rate and the usual loudness. `text` is None where nobody wrote it."""

    name: str
    text: str | None
    wav: NDArray[np.float32]


@dataclass(frozen=True)
class Folder:
    """Recordings of one speaker, and the language spoken in them (ISO 639-1), None if no words are to be counted."""

    path: Path
    language: str | None

    def recordings(self) -> dict[str, Path]:
        """Name (relative to the folder) -> file, of all recordings in it; raises `UserError` if there are none."""
        return {path.relative_to(self.path).as_posix(): path for path in find_audio(self.path)}

    def texts(self) -> dict[str, str]:
        """File name without extension -> what is said, from lines `clip|text|...` in `metadata.csv`; {} without it."""
        path = self.path / "metadata.csv"
        if not path.is_file():
            return {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = [row for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE) if len(row) >= 2]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(
                f"{path} cannot be read as lines `clip|text` in UTF-8 ({error}). Save it as such."
            ) from error
        texts = {row[0]: row[1] for row in rows if normalise_text(row[1], self.language or "")}
        return {
            (Path(name).stem if Path(name).suffix.lower() in AUDIO_EXTENSIONS else name): text
            for name, text in texts.items()
        }

    def same_sentences(self, texts: Iterable[str | None]) -> dict[str, Path]:
        """Those of `texts` that were recorded in this folder as well -> the recording."""
        own = self.texts()
        said = {normalise_text(own[path.stem]): path for path in self.recordings().values() if path.stem in own}
        wanted = {text: normalise_text(text) for text in texts if text is not None}
        return {text: said[key] for text, key in wanted.items() if key in said}


def held_out(folder: Folder, split: Mapping[str, list[str]]) -> tuple[str, list[str]]:
    """The speaker of `split` (speaker -> recordings kept from training) who is in `folder`, and those recordings."""
    recordings = folder.recordings()
    found = {speaker: [name for name in names if name in recordings] for speaker, names in split.items()}
    # Two folders may call their recordings alike, 0001.wav and so on: then it is the folder's own name that tells.
    named = normalised(folder.path.resolve().name)
    speaker = named if found.get(named) else max(found, key=lambda name: len(found[name]))
    if not found[speaker]:
        raise UserError(
            f"None of the clips that were kept from training with {' or '.join(split)} is in {folder.path}. Give the "
            "folder that the voice was trained from, a list of clips with --clips-from, or --all-clips for recordings "
            "that the voice was not trained on."
        )
    return speaker, found[speaker]


def load_split(clips_from: Path | None, metadata: Mapping[str, Any], voice: str) -> dict[str, list[str]]:
    """Speaker -> recordings that `voice` was not trained on: in the JSON file `clips_from`, or its metadata."""
    if clips_from is None:
        split = metadata.get("development", {})
        if not any(split.values()):
            raise UserError(
                f"{voice} names no recordings that were kept from its training (of fewer than ten, none is kept "
                "whole). Name some with --clips-from, or use --all-clips with recordings that it was not trained on."
            )
        return dict(split)
    try:
        split = json.loads(clips_from.read_text(encoding="utf-8-sig"))
        require_clip_lists(split or None)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{clips_from} was expected to list clips, but cannot be read ({error}).") from error
    return {speaker: list(dict.fromkeys(names)) for speaker, names in split.items()}


def read_clips(
    folder: Folder, names: Iterable[str] | None, seconds: tuple[float, float], count: int, sample_rate: int
) -> list[Clip]:
    """Up to `count` of the recordings `names` (None: all) in `folder` that are `seconds` long, and can be converted.

    They are spread evenly over the sorted names, so that the same ones are taken every time. Unreadable files are
    named in a warning and left out; raises `UserError` when fewer than two clips are left.
    """
    recordings, shortest = folder.recordings(), max(seconds[0], MIN_SECONDS)
    names = sorted(recordings if names is None else names)
    lengths = {name: seconds_in(recordings[name]) for name in names}
    fitting = [name for name in names if shortest <= lengths[name] <= seconds[1]]
    if len(fitting) < AT_LEAST:
        known = [length for length in lengths.values() if length > 0]
        span = f", which are {min(known):.1f} to {max(known):.1f} s long" if known else ""
        raise UserError(
            f"Of the {len(names)} clips chosen in {folder.path}{span}, {len(fitting)} are between {shortest:g} and "
            f"{seconds[1]:g} s; at least {AT_LEAST} are needed. Say --seconds MIN MAX, or give more recordings."
        )
    chosen = np.unique(np.linspace(0, len(fitting) - 1, min(count, len(fitting))).round().astype(int))
    texts = folder.texts()
    return [
        Clip(name, texts.get(Path(name).stem), load_audio(recordings[name], sample_rate))
        for name in (fitting[i] for i in chosen)
    ]


def seconds_in(path: Path) -> float:
    """The length of a recording; 0, with a warning, if it cannot be read."""
    try:
        return sum(len(block) / rate for rate, block in mono_blocks(path))
    except UserError as error:
        warnings.warn(f"left out: {error}", stacklevel=2)
        return 0.0
