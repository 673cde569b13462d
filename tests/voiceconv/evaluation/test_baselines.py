from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.convert.converter import VoiceConverter
from voiceconv.evaluation import baselines
from voiceconv.features.pitch import PitchStatistics, extract_f0


@pytest.fixture(scope="module")
def converter(tiny_voice: Path) -> VoiceConverter:
    return VoiceConverter.from_pretrained(tiny_voice, vocoder="griffin-lim", device="cpu")


def median_f0(wav: np.ndarray) -> float:
    f0 = extract_f0(wav, SAMPLE_RATE)
    return float(np.median(f0[f0 > 0]))


def test_log_gaussian_mapping_worked_out_by_hand() -> None:
    source, target = PitchStatistics(np.log(200.0), 0.1), PitchStatistics(np.log(100.0), 0.2)
    f0 = np.array([0.0, 200.0, 200.0 * np.exp(0.1)])
    assert baselines.map_f0(f0, source, target) == pytest.approx([0.0, 100.0, 100.0 * np.exp(0.2)])


def test_copy_synthesis_is_as_long_and_has_the_same_mel(converter: VoiceConverter) -> None:
    wav = hum(150.0, 1.3)
    copy = baselines.copy_synthesis(converter, wav)
    assert copy.shape == wav.shape
    mels = [converter.mel(torch.from_numpy(w))[:, 8:-8] for w in (wav, copy)]
    assert float((mels[0] - mels[1]).abs().mean()) < 0.3
    assert median_f0(copy) == pytest.approx(median_f0(wav), rel=0.03)


def test_world_moves_the_pitch_and_keeps_the_time(converter: VoiceConverter) -> None:
    high, low = converter.voice.speakers
    wav = hum(200.0, 1.5)
    moved = baselines.world_pitch_shift(converter, high, low, wav)
    assert moved.shape == wav.shape
    assert median_f0(moved) == pytest.approx(median_f0(wav) * 110 / 200, rel=0.03)
    envelopes = [np.convolve(w**2, np.ones(1024), "same")[:: converter.mel.config.hop_length] for w in (wav, moved)]
    lags = np.correlate(envelopes[1] - envelopes[1].mean(), envelopes[0] - envelopes[0].mean(), "full")
    assert abs(int(lags.argmax()) - (len(envelopes[0]) - 1)) <= 1


def test_world_moves_the_bands_by_the_distance_of_the_speakers(converter: VoiceConverter) -> None:
    """The target is the source, but with everything over 2 kHz a factor of e stronger."""
    template = converter.voice.speakers[0]
    tilt = torch.zeros(80)
    centres = converter.mel.filters.argmax(dim=0) * SAMPLE_RATE / 1024
    tilt[centres > 2000] = 1.0
    pitch = PitchStatistics(np.log(150.0), 0.1)
    source = dataclasses.replace(template, pitch=pitch)
    target = dataclasses.replace(source, mel_mean=template.mel_mean + tilt)
    wav = hum(150.0, 1.5)
    before, after = (
        converter.mel(torch.from_numpy(baselines.world_statistics(converter, source, to, wav)))[:, 8:-8].mean(dim=1)
        for to in (source, target)
    )
    change = after - before
    assert float(change[centres > 2300].mean() - change[(centres > 200) & (centres < 1700)].mean()) == pytest.approx(
        1.0, abs=0.15
    )


def test_world_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert baselines.has_world()
    monkeypatch.setitem(sys.modules, "pyworld", None)
    assert not baselines.has_world()
