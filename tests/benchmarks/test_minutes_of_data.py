"""Which recordings a measurement of "so many minutes of speech" trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.minutes_of_data import draw
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.training.dataset import fingerprint


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    (folder / "wavs").mkdir(parents=True)
    for i in range(12):
        soundfile.write(folder / "wavs" / f"{i:02}.wav", np.full(8_000 * 5, 0.1), 8_000)
    return folder


def drawn(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.wav")}


def test_more_minutes_hold_those_of_fewer_and_none_that_were_kept_from_training(speech: Path, tmp_path: Path) -> None:
    aside = ["wavs/03.wav", "wavs/07.wav"]
    draw(speech, aside, 0.25, tmp_path / "few")
    draw(speech, aside, 0.5, tmp_path / "more")
    few, more = drawn(tmp_path / "few"), drawn(tmp_path / "more")
    assert (len(few), len(more)) == (3, 6)
    assert few < more
    assert not more & set(aside)


def test_drawing_again_changes_nothing_that_features_depend_on(speech: Path, tmp_path: Path) -> None:
    draw(speech, ["wavs/03.wav"], 0.25, tmp_path / "out")
    before = fingerprint(tmp_path / "out", MelConfig())
    draw(speech, ["wavs/03.wav"], 0.25, tmp_path / "out")
    assert fingerprint(tmp_path / "out", MelConfig()) == before


def test_minutes_that_are_not_there_are_refused(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 0\.8 minutes that may be trained on, and 0\.9 are wanted"):
        draw(speech, ["wavs/03.wav", "wavs/07.wav"], 0.9, tmp_path / "out")
