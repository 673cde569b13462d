"""The picture of a pitch contour: harmonics where they belong, nothing where there is no voice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceconv.excitation import excitation, map_f0
from voiceconv.mel import MelConfig, MelSpectrogram
from voiceconv.pitch import PitchStatistics


@pytest.mark.parametrize("f0", [100.0, 220.0, 400.0])
def test_it_is_the_mel_of_equal_harmonics(f0: float) -> None:
    """Against the sum of cosines that the closed form stands for."""
    config = MelConfig()
    time = torch.arange(1, 40 * 256 + 1, dtype=torch.float64) / config.sample_rate
    harmonics = range(1, int(8000 / f0) + 1)
    cosines = torch.stack([torch.cos(2 * torch.pi * k * f0 * time) for k in harmonics]).sum(0).float()
    log_mel = MelSpectrogram(config)(0.1 * cosines / len(harmonics) ** 0.5)
    expected = (log_mel.clamp(-8, -2) + 5) / 3
    torch.testing.assert_close(excitation(np.full(40, f0), config)[:, 3:37], expected[:, 3:37], atol=0.01, rtol=0)


def test_unvoiced_frames_are_dark() -> None:
    f0 = np.full(60, 150.0)
    f0[20:40] = 0
    picture = excitation(f0, MelConfig())
    assert torch.all(picture[:, 24:36] == -1)
    assert picture[:, 8:14].mean() > 0
    assert torch.all(excitation(np.zeros(7), MelConfig()) == -1)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_contours(frames: int) -> None:
    assert excitation(np.full(frames, 120.0), MelConfig()).shape == (80, frames)


def test_a_contour_is_moved_and_scaled_by_hand() -> None:
    source, target = PitchStatistics(np.log(200.0), 0.2), PitchStatistics(np.log(100.0), 0.1)
    f0 = np.array([200.0, 200.0 * np.exp(0.2), 0.0, 200.0 * np.exp(-0.4)])
    expected = [100.0, 100.0 * np.exp(0.1), 0.0, 100.0 * np.exp(-0.2)]
    np.testing.assert_allclose(map_f0(f0, source, target), expected, rtol=1e-6)
    np.testing.assert_allclose(map_f0(map_f0(f0, source, target), target, source), f0, rtol=1e-5)
