"""What training reads: each plane in its place, altered versions that differ, pseudo-targets in the right voice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.signals import hum
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics
from voiceconv.features.source_filter import move
from voiceconv.training.dataset import SpeakerData
from voiceconv.training.disguise import (
    ALTERED_VERSIONS,
    AWAY_SEMITONES,
    PseudoPairLoader,
    change_tone,
    disguise,
    moved_mels,
    pseudo_targets,
    recording_at,
    training_planes,
)
from voiceconv.vocoder.base import load_vocoder
from voiceconv.voice.speaker import Speaker

MEL = MelSpectrogram()


def hummed(f0: float, seconds: float) -> SpeakerData:
    wav = torch.from_numpy(hum(f0, seconds)).half()
    mel = MEL(wav.float())
    return SpeakerData({"x#0": wav}, {"x#0": mel}, {"x#0": torch.full((mel.shape[1],), f0)}, ("x#0",), ())


def speaker(name: str, f0: float, level: float) -> Speaker:
    own, read = (torch.full((80,), level), torch.full((80,), 2.0)), (torch.full((80,), -4.0), torch.full((80,), 3.0))
    return Speaker(name, PitchStatistics(float(np.log(f0)), 0.1), *own, *read, None)


def test_planes_are_the_segment_moved_altered_and_its_pseudo_target() -> None:
    data, speakers = (hummed(200.0, 1.0), hummed(100.0, 1.5)), (speaker("high", 200, -5), speaker("low", 100, -6))
    moved = moved_mels(data[0], data[1].pitch, MEL), moved_mels(data[1], data[0].pitch, MEL)
    torch.testing.assert_close(moved[0], [move(MEL, data[0].wavs["x#0"].float(), data[0].f0["x#0"], pitch=-12.0)])
    targets = [torch.full_like(moved[0][0], 0.25)], [torch.full_like(moved[1][0], 0.75)]
    high, low = training_planes(speakers, data, moved, targets, MEL, 0)
    assert len(high) == len(low) == ALTERED_VERSIONS
    for own, picture, said, number in ((speakers[0], high[0], data[0], 0), (speakers[1], low[0], data[1], 1)):
        real, source, _, target = picture.float()
        torch.testing.assert_close(own.denormalise(real), said.mels["x#0"], atol=0.02, rtol=0.01)
        torch.testing.assert_close(source * 3 - 4, moved[number][0], atol=0.02, rtol=0.01)
        assert torch.equal(target, targets[number][0])
    assert not torch.equal(high[0][2], high[1][2])
    torch.testing.assert_close(high[0][2].float().mean(), high[0][1].float().mean(), atol=0.5, rtol=0)  # moved as well
    again = training_planes(speakers, data, moved, targets, MEL, 0)
    assert all(torch.equal(a, b) for a, b in zip(high, again[0], strict=True))


@pytest.mark.slow
def test_pseudo_targets_are_in_the_voice_of_the_other() -> None:
    """A teacher knows nothing but its own speaker: whatever it hears, it answers in that voice."""
    data = hummed(200.0, 1.0), hummed(100.0, 1.2)
    high, low = (
        dataclasses.replace(speaker(name, f0, -5), mel_mean=d.mels["x#0"].mean(1) - above, mel_std=torch.ones(80))
        for name, f0, d, above in (("high", 200, data[0], 2.0), ("low", 100, data[1], -2.0))
    )  # normalised, the one hums at 2 in all bands and the other at -2
    others = [recording_at(data[0], "x#0", data[1].pitch)], [recording_at(data[1], "x#0", data[0].pitch)]

    def targets() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        options = {"steps": 200, "seed": 0, "channels": 16, "blocks": 1}
        return pseudo_targets((high, low), data, others, MEL, device=torch.device("cpu"), **options)

    learned, again = targets(), targets()
    for one, level in ((0, -2.0), (1, 2.0)):
        assert [target.shape for target in learned[one]] == [data[one].mels["x#0"].shape]
        assert torch.equal(learned[one][0], again[one][0])
        assert learned[one][0].mean().item() * level > 1


def test_a_disguise_is_spoken_at_another_pitch_and_moved_back() -> None:
    said = hummed(200.0, 1.5)
    wav, f0 = said.wavs["x#0"].float(), said.f0["x#0"]
    vocoder, generator = load_vocoder("istft", MEL.config), torch.Generator().manual_seed(0)
    pairs = [disguise(wav, f0, MEL, generator, vocoder, -10.0) for _ in range(4)]
    shifts = []
    for spoken, back in pairs:
        assert spoken.shape == back.shape == MEL(wav).shape
        pitches = [vocoder.pitch(mel[None]) for mel in (MEL(wav), spoken, back)]
        own, away, again = (float(p[p > 0].median()) for p in pitches if p is not None)
        assert abs(12 * np.log2(again / own)) < 0.7
        shifts.append(12 * np.log2(away / own))
    assert all(abs(semitones + 10) < AWAY_SEMITONES + 0.7 for semitones in shifts), shifts
    assert max(shifts) - min(shifts) > 0.5  # never the same one


def test_tone_changes_smoothly_and_in_the_altered_plane_only() -> None:
    crop = torch.randn(4, 80, 64).half()
    changed = change_tone(crop, torch.Generator().manual_seed(1))
    assert torch.equal(changed[[0, 1, 3]], crop[[0, 1, 3]].float())
    difference = changed[2] - crop[2].float()
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), atol=1e-3, rtol=0)
    assert difference.abs().max() > 0.05
    assert difference[:, 0].diff().abs().max() < 0.1


def test_half_of_the_pairs_are_of_other_speakers_and_only_the_pairs() -> None:
    crops = [torch.full((4, 80, 64), float(number)).half() for number in range(5)]
    others = [torch.full((2, 80, 64), 100.0 + number).half() for number in range(3)]
    loader = PseudoPairLoader(crops, crops, (others, []), 8, seed=0)
    batch = next(loader)
    own = batch["a"][:, 0, 0, 0]
    assert torch.equal(batch["source_a"][:, 0, 0, 0], own)
    assert (batch["target_a"][:4] >= 100).all()
    assert torch.equal(batch["target_a"][4:, 0, 0, 0], own[4:])
    assert ((batch["altered_a"] - batch["target_a"]).abs() < 3).all()  # the same sample, its tone changed
    assert torch.equal(batch["target_b"], batch["b"])
