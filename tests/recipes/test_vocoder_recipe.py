"""The vocoder's recipe: what it takes for speakers, and its `--smoke` from there to a vocoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes import vocoder
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.base import load_vocoder


def test_speakers_are_the_folders_or_the_folder(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    assert vocoder.speaker_folders(two_speakers[0].parent) == list(two_speakers)
    assert vocoder.speaker_folders(two_speakers[0]) == [two_speakers[0]]
    with pytest.raises(UserError, match="is not a folder"):
        vocoder.speaker_folders(tmp_path / "nowhere")
    with pytest.raises(UserError, match="--data FOLDER"):
        vocoder.main(vocoder.VocoderConfig())


@pytest.mark.slow
def test_smoke_leaves_a_vocoder(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    data = two_speakers[0].parent
    vocoder.main(vocoder.VocoderConfig(data=data, run=tmp_path / "run", smoke=True))
    assert load_vocoder(str(tmp_path / "run"), MelConfig()).name == "istft"


@pytest.mark.slow
def test_smoke_without_data_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vocoder.main(vocoder.VocoderConfig(smoke=True))
    assert list(tmp_path.iterdir()) == []
