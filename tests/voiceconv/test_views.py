"""What training reads: each view in its place, altered versions that differ, nothing else touched."""

from __future__ import annotations

import numpy as np
import torch

from tests.signals import hum
from voiceconv.dataset import SpeakerData, mel_statistics
from voiceconv.mel import MelSpectrogram
from voiceconv.pitch import PitchStatistics
from voiceconv.source_filter import move
from voiceconv.views import ALTERED_VERSIONS, change_tone, moved_mels, views
from voiceconv.voice import Speaker


def test_planes_are_the_segment_moved_and_altered() -> None:
    mel = MelSpectrogram()
    wav = torch.from_numpy(hum(200.0, 1.0)).half()
    data = SpeakerData({"x#0": wav}, {"x#0": mel(wav.float())}, {"x#0": torch.full((86,), 200.0)}, ("x#0",), ())
    moved = moved_mels(data, PitchStatistics(float(np.log(100)), 0.1), mel)
    torch.testing.assert_close(moved, [move(mel, wav.float(), pitch=-12.0)])
    own = torch.full((80,), -5.0), torch.full((80,), 2.0)
    high = Speaker("high", PitchStatistics(float(np.log(200)), 0.1), *own, *mel_statistics(moved), None)
    pictures = views(high, data, moved, mel, torch.Generator().manual_seed(0))
    assert len(pictures) == ALTERED_VERSIONS
    for picture in pictures:
        torch.testing.assert_close(high.denormalise(picture[0].float()), mel(wav.float()), atol=0.02, rtol=0.01)
    for plane in (1, 2):  # to the generators, what is translated and what is altered are of one kind
        mean, std = mel_statistics([picture[plane].float() for picture in pictures])
        assert mean.abs().max() < 0.01
        assert ((std - 1).abs() < 0.01).float().mean() > 0.5  # the others hardly vary in a steady hum
    source = pictures[0][1].float() * high.source_std[:, None] + high.source_mean[:, None]
    torch.testing.assert_close(source, moved[0], atol=0.02, rtol=0.01)
    assert not torch.equal(pictures[0][2], pictures[1][2])
    again = views(high, data, moved, mel, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(pictures, again, strict=True))


def test_tone_changes_smoothly_and_in_the_altered_plane_only() -> None:
    crop = torch.randn(3, 80, 64).half()
    changed = change_tone(crop, torch.Generator().manual_seed(1))
    assert torch.equal(changed[:2], crop[:2].float())
    difference = changed[2] - crop[2].float()
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), atol=1e-3, rtol=0)
    assert difference.abs().max() > 0.05
    assert difference[:, 0].diff().abs().max() < 0.1
