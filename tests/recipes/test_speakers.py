"""The recipe of the speaker encoder: a smoke run, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recipes.common.corpus import INDEX, Recording
from recipes.speakers import SpeakersConfig, equal_error_rate, main
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.recognisers.speaker_encoder import SpeakerEncoder


@pytest.mark.slow
def test_smoke_leaves_an_encoder(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "encoder.safetensors"
    main(SpeakersConfig(data=two_speakers, out=out, batch_size=4, smoke=True))
    embedding = SpeakerEncoder.load(out).of_clip(torch.randn(80, 150) - 5)
    assert embedding.norm().item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.slow
def test_smoke_learns_from_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for number in range(18):
        save_audio(tmp_path / f"{number}.flac", hum(100.0 + 20 * (number % 6), 2.0, number), SAMPLE_RATE)
        recording = Recording(f"{number}.flac", number, "", "en-us", "a", (0.5, 1.0, 0.5), "a", f"v{number % 6}", 1.0)
        lines.append(recording.to_line())
    (tmp_path / INDEX).write_text("".join(lines), encoding="utf-8")
    out = tmp_path / "encoder.safetensors"
    main(SpeakersConfig(corpus=tmp_path, out=out, batch_size=4, smoke=True))
    assert "of 4 speakers" in (said := capsys.readouterr().out)
    assert "6 clips of 2 speakers kept aside: equal error rate" in said
    (tmp_path / INDEX).write_text("".join(lines[:6]), encoding="utf-8")
    with pytest.raises(UserError, match="holds 0 voices with 3 recordings"):
        main(SpeakersConfig(corpus=tmp_path, out=out))


def test_the_equal_error_rate_of_clear_and_of_mixed_up_speakers() -> None:
    def at(*degrees: float) -> torch.Tensor:
        angles = torch.tensor(degrees).deg2rad()
        return torch.stack([angles.cos(), angles.sin()], dim=1)

    assert equal_error_rate(at(0, 10, 80, 90), torch.tensor([0, 0, 1, 1])) == 0
    # One speaker's are 30 and 35 degrees apart, two's 10, 15, 20, 45: between 30 and 35 half and three quarters err.
    assert equal_error_rate(at(0, 10, 30, 45), torch.tensor([0, 1, 0, 1])) == pytest.approx(0.625)


def test_one_speaker_and_folders_without_speech_are_refused(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two speakers"):
        main(SpeakersConfig(data=two_speakers[:1], out=tmp_path / "x"))
    with pytest.raises(UserError, match="no recordings"):
        main(SpeakersConfig(data=(tmp_path, two_speakers[0]), out=tmp_path / "x"))
