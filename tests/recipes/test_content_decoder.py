"""The recipe of the content decoder: what it reads beside the content, how versions vary, and a smoke run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch

from recipes.common.transcribed import Utterance
from recipes.content_decoder import ContentDecoder, ContentDecoderConfig, disguised, main, moved, pitch_of, prosody
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.pitch import PitchStatistics
from voiceconv.recognisers.phonemes import PhonemeRecogniser


def utterance(f0: list[float]) -> Utterance:
    """Frames whose level falls by a neper each."""
    mel = -torch.arange(len(f0)).float().expand(80, -1)
    return Utterance([mel, mel - 1], ["a"], False, torch.tensor(f0))


def test_pitch_is_read_in_deviations_and_level_from_the_loudest_frames() -> None:
    statistics = PitchStatistics(mean=torch.tensor(100.0).log().item(), std=0.5)
    pitch, voiced, level = prosody(utterance([100.0, 100.0 * 2.718281828, 0.0, 1e6]), statistics)
    torch.testing.assert_close(pitch, torch.tensor([0.0, 2.0, 0.0, 3.0]), atol=1e-5, rtol=0)
    assert voiced.tolist() == [1, 1, 0, 1]
    torch.testing.assert_close(level.diff(), torch.full((3,), -0.5))
    assert level[0] > 1 > level[1]


def test_pitch_moves_to_the_mean_and_the_deviation_of_the_target() -> None:
    own, target = (PitchStatistics(torch.tensor(hz).log().item(), std) for hz, std in ((100.0, 0.2), (200.0, 0.4)))
    f0 = moved(utterance([100.0, 100.0 * 2**0.5, 0.0]), own, target)
    torch.testing.assert_close(f0, torch.tensor([200.0, 400.0, 0.0]), rtol=1e-5, atol=0)
    assert pitch_of([utterance([100.0, 100.0, 0.0])]).median_hz == pytest.approx(100.0)


@pytest.mark.parametrize(("disguise", "versions"), [("none", 1), ("voice", 2), ("channel", 3)])
def test_recordings_are_read_in_versions(disguise: Literal["none", "voice", "channel"], versions: int) -> None:
    encoder = PhonemeRecogniser(["_", "a"], channels=4, blocks=1)
    read = disguised(encoder, utterance([100.0] * 12), disguise)
    assert [version.shape for version in read] == [(4, 12)] * versions
    torch.testing.assert_close(
        read[0].float(), encoder.features(utterance([1.0] * 12).mels[0][None])[0], atol=2e-3, rtol=0
    )


def test_a_decoder_answers_in_the_scale_of_its_speaker() -> None:
    decoder = ContentDecoder(4, torch.full((80,), -5.0), torch.full((80,), 2.0), channels=8, blocks=1)
    made = decoder(torch.zeros(2, 7, 30))
    assert made.shape == (2, 80, 30)
    assert -9 < made.mean() < -1


@pytest.mark.slow
def test_smoke_says_what_others_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for speaker, f0 in (("target", 120.0), ("source", 220.0)):
        folder = tmp_path / speaker
        folder.mkdir()
        for number in range(12):
            save_audio(folder / f"{number}.wav", hum(f0, 2.0, number), SAMPLE_RATE)
        rows = [f"{number}|an old man may sing|2.0\n" for number in range(12)]
        (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    target, source = f"{tmp_path / 'target'}:en-us", f"{tmp_path / 'source'}:en-us"
    main(ContentDecoderConfig(target, (source,), out=tmp_path / "out", blocks=1, batch_size=2, smoke=True))
    said = capsys.readouterr().out
    assert "target in the target's voice: phoneme errors" in said
    assert "source, copy-synthesis: phoneme errors" in said
    assert len(list((tmp_path / "out" / "source in the target's voice").glob("*.flac"))) == 2
    for number in range(4, 12):
        (tmp_path / "target" / f"{number}.wav").unlink()
    with pytest.raises(UserError, match="8 are the least"):
        main(ContentDecoderConfig(target, smoke=True))
