"""What a teacher reads: content near the speaker's own, and a pitch and a level without any spectrum."""

from __future__ import annotations

import math

import torch

from tests.signals import hum
from voiceconv.features.mel import MelSpectrogram
from voiceconv.training.pseudo_pairs import NEARER, OwnContent, Recording, prosody

MEL, CPU = MelSpectrogram(), torch.device("cpu")


def test_content_moves_towards_the_nearest_of_the_speakers_own() -> None:
    """Two sounds that the speaker makes, in eight frames each; another speaker's are a little off."""
    generator = torch.Generator().manual_seed(0)
    sounds = torch.tensor([[3.0, 0.0, -1.0], [-3.0, 1.0, 1.0]])
    own = [sound[:, None] + 0.01 * torch.randn(3, 8, generator=generator) for sound in sounds]
    heard = sounds[[1, 0, 0]].T + torch.tensor([[0.4], [-0.2], [0.3]])
    moved = OwnContent(own, CPU)(heard)
    wanted = heard + NEARER * (sounds[[1, 0, 0]].T - heard)
    torch.testing.assert_close(moved, wanted, atol=0.02, rtol=0)


def test_content_of_fewer_frames_than_neighbours() -> None:
    own = torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    moved = OwnContent([own], CPU)(torch.zeros(2, 5))
    torch.testing.assert_close(moved, NEARER * own.mean(1, keepdim=True).expand(2, 5))


def test_prosody_tells_pitch_voicing_and_level() -> None:
    mel = MEL(torch.from_numpy(hum(200.0, 1.0)))
    f0 = torch.full((mel.shape[1],), 200.0)
    f0[-20:] = 0.0
    read = prosody(Recording(mel, f0, (mel,)), MEL)
    assert read.shape == (82, mel.shape[1])
    assert torch.equal(read[80], (f0 > 0).float())
    assert (read[:80, -20:] == 0).all()
    higher = prosody(Recording(mel, 1.5 * f0, (mel,)), MEL)
    assert (higher[:80, 40] - read[:80, 40]).abs().max() > 0.5  # harmonics lie elsewhere
    assert torch.equal(higher[81], read[81])


def test_prosody_does_not_depend_on_the_recordings_level() -> None:
    mel = MEL(torch.from_numpy(hum(200.0, 1.0))).clamp_min(-6.0)
    f0 = torch.full((mel.shape[1],), 200.0)
    read = prosody(Recording(mel, f0, (mel,)), MEL)
    louder = prosody(Recording(mel + math.log(4.0), f0, (mel,)), MEL)
    torch.testing.assert_close(louder, read, atol=1e-4, rtol=0)
