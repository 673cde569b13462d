"""The choir is made of a corpus: voices with enough speech, those of the synthesiser before blends, with pauses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.choir import ChoirConfig, main
from recipes.common.corpus import INDEX, Recording
from tests.signals import hum
from voiceconv.errors import UserError


def corpus(folder: Path) -> Path:
    """Two sentences of a second each in voices `b`, `a` and a blend, one of `short`."""
    lines = []
    for number, voice in enumerate(["b", "b", "a*0.5+b*0.5", "a*0.5+b*0.5", "a", "a", "short"]):
        soundfile.write(folder / f"{number}.flac", hum(150.0 + 10 * number, 1.0), 22050)
        lines.append(Recording(f"{number}.flac", number, "ah", "en-us", "a", (1.0,), voice, voice, 1.0).to_line())
    (folder / INDEX).write_text("".join(lines), encoding="utf-8")
    return folder


def test_voices_with_enough_speech_become_a_file_each(tmp_path: Path) -> None:
    out = tmp_path / "choir"
    main(ChoirConfig(corpus(tmp_path), out, voices=3, seconds=1.5))
    assert (out / "voices.txt").read_text().split() == ["a", "b", "a*0.5+b*0.5"]
    wav, rate = soundfile.read(out / "000.ogg", dtype="float32")
    assert len(wav) / rate == pytest.approx(2 * (1.0 + 0.7), abs=0.1)
    pause = wav[round(1.2 * rate) : round(1.5 * rate)]
    assert np.abs(pause).max() < 0.01 < np.abs(wav[: round(0.9 * rate)]).max()


def test_a_corpus_with_too_little_of_each_voice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No voice in .* has 5 s of speech"):
        main(ChoirConfig(corpus(tmp_path), tmp_path / "choir", seconds=5.0))
