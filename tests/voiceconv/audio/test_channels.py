"""Channels become one, whichever way round they are wired."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.signals import SAMPLE_RATE as RATE
from tests.signals import sine
from voiceconv.audio.files import load_audio


@pytest.mark.parametrize("other", [-1.0, -0.9, -0.5])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_channels_that_cancel_give_the_loudest_and_say_so(tmp_path: Path, other: float, offset: float) -> None:
    """As when one of two microphones is wired the wrong way round; also after minutes in which nothing is heard."""
    wav = sine(441, 2.0, amplitude=0.4)
    for pause in (0, 70):
        path = tmp_path / "stereo.wav"
        soundfile.write(path, offset + np.pad(np.stack([other * wav, wav], 1), ((pause * RATE, 0), (0, 0))), RATE)
        with pytest.warns(UserWarning, match=r"stereo\.wav: its channels cancel each other"):
            loaded = load_audio(path, RATE, loudness=None)
        np.testing.assert_allclose(np.abs(loaded[-len(wav) :]), np.abs(wav), atol=1e-2)  # either way round


def test_channels_that_do_not_cancel_are_averaged(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    wav, noise = sine(441, 1.0, amplitude=0.4), np.random.default_rng(0).normal(0, 0.1, RATE)
    for other in (wav, 0 * wav, 0.5 * wav, -0.1 * wav, noise):
        soundfile.write(tmp_path / "stereo.wav", np.stack([wav, other], 1), RATE, subtype="FLOAT")
        expected = (wav + other) / 2
        loaded = load_audio(tmp_path / "stereo.wav", RATE, loudness=None)
        np.testing.assert_allclose(loaded, expected - expected.mean(), atol=1e-3)
    assert not recwarn.list
