"""The recipe of the content encoder: what frames are, how recordings vary, a smoke run, and what is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recipes.common.channel import FORMANT_STEPS, Channel, band_limits, reverberate, warps
from recipes.common.corpus import INDEX, Recording
from recipes.common.transcribed import Utterance
from recipes.content_encoder import UNKNOWN, Clip, ContentEncoderConfig, align, crops, main, numbered, single, spoken
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.recognisers.phonemes import PhonemeRecogniser


@pytest.fixture
def config(tmp_path: Path) -> ContentEncoderConfig:
    """A corpus of four utterances in two voices each, and a folder of recordings."""
    corpus, folder = tmp_path / "corpus", tmp_path / "speaker"
    corpus.mkdir()
    folder.mkdir()
    lines = []
    for number in range(8):
        save_audio(corpus / f"{number}.flac", hum(150.0 + 10 * number, 1.0, number), SAMPLE_RATE)
        durations = (0.1, 0.2, 0.2, 0.2, 0.2, 0.1)
        lines.append(Recording(f"{number}.flac", number // 2, "", "en-us", "mˈeɪ", durations, "a", "b", 1.0).to_line())
    (corpus / INDEX).write_text("".join(lines), encoding="utf-8")
    for number in range(12):
        save_audio(folder / f"{number}.wav", hum(150.0, 2.0, number), SAMPLE_RATE)
    rows = [f"{number}|an old man may sing|2.0\n" for number in range(12)]
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    out = tmp_path / "encoder.safetensors"
    return ContentEncoderConfig(corpus, data=(f"{folder}:en-us",), out=out, blocks=1, batch_size=4, smoke=True)


def test_frames_are_silent_only_where_they_are_quiet() -> None:
    mel = torch.zeros(80, 6)
    mel[:, :2] = -10.0
    labels = ["_", "a", "a", " ", "_", "?"]
    assert numbered(mel, labels, {"_": 0, "a": 1}).tolist() == [0, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN]
    assert spoken(["_", "a", "a", " ", "b", "a", "_"]) == ["a", "b", "a"]


def test_what_is_written_with_two_letters_is_two_symbols() -> None:
    assert single(Utterance([], ["tʃ", "aɪ", "ɚ", "ʔ̩"], False)).phonemes == ["t", "ʃ", "a", "ɪ", "ə", "ɹ", "ʔ"]


def test_crops_are_filled_up_and_long_clips_come_more_often() -> None:
    clips = [Clip([torch.zeros(2, 10)], torch.ones(10).long()), Clip([torch.ones(2, 300)], torch.zeros(300).long())]
    draw = crops(clips, random.Random(0))
    drawn = [draw() for _ in range(200)]
    assert {x.shape for x, _ in drawn} == {(2, 128)}
    short = [symbols for _, symbols in drawn if symbols[0] == 1]
    assert 0 < len(short) < 20
    assert short[0].tolist() == [1] * 10 + [UNKNOWN] * 118


def test_recordings_with_unknown_phonemes_are_not_aligned() -> None:
    encoder = PhonemeRecogniser(["_", "a", "b"], channels=4, blocks=1)
    utterances = [Utterance([torch.randn(80, 20) - 5], said, False) for said in (["a", "b"], ["a", "x"])]
    (clip,) = align(encoder, utterances)
    assert {1, 2} <= set(clip.symbols.tolist())
    assert clip.symbols.shape == (20,)


def test_a_vocal_tract_of_the_same_length_changes_nothing() -> None:
    matrices = warps(MelConfig())
    torch.testing.assert_close(matrices[FORMANT_STEPS // 2], torch.eye(80))
    torch.testing.assert_close(matrices.sum(2), torch.ones(FORMANT_STEPS, 80))
    peak = torch.eye(80)[40]
    assert (matrices[-1] @ peak).argmax() > 40 > (matrices[0] @ peak).argmax()


def test_a_room_adds_energy_after_a_sound_and_none_before() -> None:
    torch.manual_seed(0)
    x = torch.full((32, 4, 60), -11.0)
    x[:, :, 20] = 0.0
    heard = reverberate(x)
    torch.testing.assert_close(heard[..., :21], x[..., :21], atol=0.3, rtol=0)  # quiet as it was, but for its own echo
    tails = heard[:, 0, 21] > -10
    assert 8 < tails.sum() < 24
    assert (heard[tails, 0, 21:30].diff() < 0).all()


def test_a_channel_limits_bands_and_keeps_to_the_floor() -> None:
    torch.manual_seed(0)
    height = torch.arange(80)[None, :, None] / 79
    limits = band_limits(200, height)
    assert limits.shape == (200, 80, 1)
    assert limits.max() == 0
    assert 30 < (limits[:, -1] < 0).sum() < 90
    x = torch.full((8, 80, 50), -11.5)
    altered = Channel(MelConfig())(x)
    assert altered.shape == x.shape
    assert altered.min() > -11.52


@pytest.mark.slow
def test_smoke_leaves_an_encoder_that_can_be_gone_on_with(config: ContentEncoderConfig) -> None:
    main(config)
    encoder = PhonemeRecogniser.load(config.out)
    assert encoder.stride == 2
    assert encoder.phonemes[0] == "_"
    assert {"m", "e", "ɪ", "ŋ"} <= set(encoder.phonemes)
    again = config.out.with_name("again.safetensors")
    main(replace(config, init=config.out, out=again))
    assert PhonemeRecogniser.load(again).phonemes == encoder.phonemes


def test_what_cannot_be_learned_from_is_refused(config: ContentEncoderConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no meta.jsonl"):
        main(replace(config, corpus=tmp_path))
    index = config.corpus / INDEX
    index.write_text("".join(index.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    with pytest.raises(UserError, match="no more than one utterance"):
        main(config)
