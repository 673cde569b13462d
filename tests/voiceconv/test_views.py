"""What training reads: each view in its place, altered versions that differ, nothing else touched."""

from __future__ import annotations

import numpy as np
import torch

from tests.signals import hum
from voiceconv.dataset import SpeakerData
from voiceconv.mel import MelSpectrogram
from voiceconv.pitch import PitchStatistics
from voiceconv.source_filter import move
from voiceconv.views import ALTERED_VERSIONS, change_tone, views
from voiceconv.voice import Speaker


def test_planes_are_the_segment_moved_and_altered() -> None:
    mel = MelSpectrogram()
    wav = torch.from_numpy(hum(200.0, 1.0)).half()
    data = SpeakerData({"x#0": wav}, {"x#0": mel(wav.float())}, {"x#0": torch.full((86,), 200.0)}, ("x#0",), ())
    high = Speaker("high", PitchStatistics(float(np.log(200)), 0.1), torch.full((80,), -5.0), torch.full((80,), 2.0))
    low = Speaker("low", PitchStatistics(float(np.log(100)), 0.1), torch.full((80,), -6.0), torch.full((80,), 1.0))
    pictures = views(high, low, data, mel, torch.Generator().manual_seed(0))
    assert len(pictures) == ALTERED_VERSIONS
    changes = []
    for picture in pictures:
        real, moved, altered = picture.float()
        torch.testing.assert_close(high.denormalise(real), mel(wav.float()), atol=0.02, rtol=0.01)
        torch.testing.assert_close(high.denormalise(moved), move(mel, wav.float(), pitch=-12.0), atol=0.02, rtol=0.01)
        changes.append((low.denormalise(altered) - mel(wav.float())).abs().mean())
    assert 0.05 < max(changes) < 2  # formants moved by up to four semitones, noise in every second one
    assert not torch.equal(pictures[0][2], pictures[1][2])
    again = views(high, low, data, mel, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(pictures, again, strict=True))


def test_tone_changes_smoothly_and_in_the_altered_plane_only() -> None:
    crop = torch.randn(3, 80, 64).half()
    changed = change_tone(crop, torch.Generator().manual_seed(1))
    assert torch.equal(changed[:2], crop[:2].float())
    difference = changed[2] - crop[2].float()
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), atol=1e-3, rtol=0)
    assert difference.abs().max() > 0.05
    assert difference[:, 0].diff().abs().max() < 0.1
