"""Renders clips through the systems that are compared, keeps the audio, and has it measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import voiceconv
from voiceconv.audio.files import save_audio
from voiceconv.convert.converter import VoiceConverter
from voiceconv.evaluation.scores import ClipMeasures, Scorer
from voiceconv.evaluation.speakers import RecordedSpeaker

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What a system makes of a waveform `(T,)`: another of the same length."""


class Renderer:
    """Renders clips through systems, keeps the audio in `out / "audio"`, and has it measured, with a progress bar."""

    def __init__(self, scorer: Scorer, converter: VoiceConverter, out: Path, total: int) -> None:
        self.scorer, self.converter, self.out = scorer, converter, out
        self.bar = tqdm(total=total, unit="clip", disable=None)
        self._originals: dict[str, list[ClipMeasures]] = {}

    def original(self, speaker: RecordedSpeaker, system: str, change: Change | None) -> list[ClipMeasures]:
        """A speaker's recordings (`change` None) or their copies: the same in all directions, so rendered once."""
        key = f"{speaker.name}/{system}"
        if key not in self._originals:
            self._originals[key] = self.render(key, speaker, change, f"vocoder {self.converter.vocoder.name}")
        return self._originals[key]

    def render(self, key: str, speaker: RecordedSpeaker, change: Change | None, comment: str) -> list[ClipMeasures]:
        """Renders a speaker's clips through `change`, keeps them under `key`, and measures them."""
        started = time.monotonic()
        self.bar.set_description(key.replace("/", ": "))
        measures = []
        for clip in speaker.clips:
            wav = clip.wav if change is None else change(clip.wav)
            path = audio_path(self.out, key, clip.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            made_by = f"{key.rsplit('/')[-1]} by voiceconv {voiceconv.__version__}, {comment}"
            save_audio(path, wav, self.converter.sample_rate, comment=None if change is None else made_by)
            measures.append(self.scorer.measure(wav, clip.text, speaker.folder.language))
            self.bar.update()
        seconds = time.monotonic() - started
        tqdm.write(f"{key.replace('/', ': ')}: {len(measures)} clips in {seconds:.0f} s", file=sys.stderr)
        return measures


def audio_path(out: Path, key: str, clip: str) -> Path:
    """Where the clip (a recording's name) is kept that `key` ("SPEAKER/SYSTEM" or "SOURCE to TARGET/SYSTEM") made."""
    name = PurePosixPath(clip)
    # The recording's own ending stays: take.wav and take.mp3 are two clips.
    return out / "audio" / key / (name if name.suffix == ".flac" else name.with_name(f"{name.name}.flac"))
