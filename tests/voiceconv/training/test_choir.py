"""The choir: sentences of other voices, brought to the pitch and the tone of the speaker whom they stand in for."""

from __future__ import annotations

import math

import pytest
import torch

from voiceconv.convert.adaptation import tone_between
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics
from voiceconv.features.source_filter import move
from voiceconv.training.choir import Member, choir_planes, read_choir
from voiceconv.voice.speaker import Speaker

MEL = MelSpectrogram()
LOW = PitchStatistics(math.log(100.0), 0.1)


@pytest.fixture(scope="module")
def members() -> list[Member]:
    return read_choir(1, MEL)


def test_sentences_are_speech_of_one_voice(members: list[Member]) -> None:
    assert len(members) >= 2
    assert len({member.middle_hz for member in members}) == 1
    for member in members:
        assert member.mel.shape == (80, len(member.f0)) == (80, len(member.wav) // 256)
        assert 0.3 < (member.f0 > 0).float().mean() < 0.95


def test_their_pitch_is_moved_to_the_teachers_speaker(members: list[Member]) -> None:
    spoken = torch.cat([member.at_pitch(LOW).f0 for member in members])
    assert spoken[spoken > 0].log().mean().exp().item() == pytest.approx(100.0, rel=0.05)


def test_planes_are_the_altered_sentences_in_the_speakers_tone_and_their_targets(members: list[Member]) -> None:
    tone = torch.full((80,), 2.0)  # far from that of any speech
    statistics = torch.zeros(80), torch.ones(80), torch.full((80,), -4.0), torch.full((80,), 2.0)
    source = Speaker("high", PitchStatistics(math.log(200.0), 0.1), *statistics, tone)
    targets = [torch.full_like(member.mel, 0.25) for member in members]
    planes = choir_planes(members, source, LOW, targets, MEL, 0)
    for member, picture in zip(members, planes, strict=True):
        assert picture.shape == (2, *member.mel.shape)
        assert (picture[1] == 0.25).all()
        seconds_per_frame = 256 / 22050
        moved = move(MEL, member.wav, member.f0, pitch=12 * math.log2(100.0 / member.middle_hz))
        before = tone_between(moved, tone, seconds_per_frame).norm()
        assert tone_between(picture[0].float() * 2 - 4, tone, seconds_per_frame).norm() < 0.7 * before


def test_a_preset_may_do_without() -> None:
    assert read_choir(0, MEL) == []
