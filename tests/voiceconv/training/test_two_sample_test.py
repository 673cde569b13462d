"""Whether the classifier that scores conversions tells apart what differs, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voiceconv.training.two_sample_test import confusion


def clips(count: int, seed: int, *, smoothed: bool = False, lengths: tuple[int, ...] = (70, 90, 20)) -> list[Tensor]:
    """Noise with the spectral detail of noise, or the same with half of that detail averaged away."""
    generator = torch.Generator().manual_seed(seed)
    mels = [torch.randn(80, lengths[i % len(lengths)], generator=generator) for i in range(count)]
    if smoothed:
        mels = [(mel + mel.roll(1, 0)) / 2**0.5 for mel in mels]
    return mels


@pytest.mark.slow
def test_the_same_kind_of_clips_confuses_and_another_does_not() -> None:
    same = confusion(clips(12, 0), clips(12, 1), clips(6, 2), clips(6, 3), steps=25)
    other = confusion(clips(12, 0), clips(12, 1, smoothed=True), clips(6, 2), clips(6, 3, smoothed=True), steps=25)
    assert same > 0.8
    assert other < 0.3


@pytest.mark.slow
def test_level_alone_is_hard_to_tell() -> None:
    made = [mel + 0.1 for mel in clips(12, 1)]
    assert confusion(clips(12, 0), made, clips(6, 2), [mel + 0.1 for mel in clips(6, 3)], steps=25) > 0.8


def test_a_question_asked_twice_has_one_answer_and_leaves_chance_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = confusion(clips(5, 0), clips(5, 1), clips(3, 2), clips(3, 3), steps=3)
    assert torch.equal(torch.rand(3), expected)
    with torch.no_grad():
        assert confusion(clips(5, 0), clips(5, 1), clips(3, 2), clips(3, 3), steps=3) == first
