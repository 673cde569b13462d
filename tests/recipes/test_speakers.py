"""The recipe of the speaker encoder: a smoke run, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recipes.speakers import SpeakersConfig, main
from voiceconv.errors import UserError
from voiceconv.recognisers.speaker_encoder import SpeakerEncoder


@pytest.mark.slow
def test_smoke_leaves_an_encoder(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "encoder.safetensors"
    main(SpeakersConfig(data=two_speakers, out=out, batch_size=4, smoke=True))
    embedding = SpeakerEncoder.load(out).of_clip(torch.randn(80, 150) - 5)
    assert embedding.norm().item() == pytest.approx(1.0, rel=1e-5)


def test_one_speaker_and_folders_without_speech_are_refused(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two speakers"):
        main(SpeakersConfig(data=two_speakers[:1], out=tmp_path / "x"))
    with pytest.raises(UserError, match="no recordings"):
        main(SpeakersConfig(data=(tmp_path, two_speakers[0]), out=tmp_path / "x"))
