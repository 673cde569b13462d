"""The tone of a speaker: what is taken off, and how much of it."""

from __future__ import annotations

import math

import pytest
import torch

from voiceconv.convert.adaptation import HALF_BELIEVED_SECONDS, SHARE, TERMS, Adaptation, speech_frames, tone_between

FRAME_SECONDS = 0.01


def test_speech_is_what_is_loud() -> None:
    mel = torch.tensor([[-2.0, -9.0, -3.0, -11.0], [-2.0, -9.0, -4.0, -11.0]])
    assert speech_frames(mel).tolist() == [[-2.0, -3.0], [-2.0, -4.0]]
    assert speech_frames(mel[:, 1:2]).shape == (2, 1)  # a frame is always the loudest of its own


@pytest.mark.parametrize("seconds", [0.5, 4.5])
def test_a_share_of_a_smooth_difference_is_taken_off(seconds: float) -> None:
    usual = torch.randn(80)
    tone = 0.7 + 0.4 * torch.cos(3 * math.pi * (torch.arange(80) + 0.5) / 80)  # two terms of the series
    mel = (usual + tone)[:, None].expand(80, round(seconds / FRAME_SECONDS))
    found = tone_between(mel, usual, FRAME_SECONDS)
    torch.testing.assert_close(found, SHARE * seconds / (seconds + HALF_BELIEVED_SECONDS) * tone)


def test_pauses_and_harmonics_say_nothing_of_the_tone() -> None:
    usual = torch.zeros(80)
    harmonics = torch.cos(math.pi * TERMS * (torch.arange(80) + 0.5) / 80)  # the first term that is left out
    assert tone_between(harmonics[:, None].expand(80, 100), usual, FRAME_SECONDS).abs().max() < 1e-5
    spoken, pauses = torch.full((80, 100), 0.5), torch.full((80, 900), -11.0)
    torch.testing.assert_close(
        tone_between(torch.cat([spoken, pauses], dim=1), usual, FRAME_SECONDS),
        tone_between(spoken, usual, FRAME_SECONDS),
    )


def test_it_is_applied_to_every_frame() -> None:
    mel = torch.randn(3, 5)
    assert Adaptation(1.0).apply(mel) is mel
    assert torch.equal(Adaptation(1.0, torch.tensor([1.0, 2.0, 3.0])).apply(mel)[1], mel[1] - 2)
