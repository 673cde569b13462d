"""Conversion: length, level, silence, pitch, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.loudness import measure_loudness
from voiceconv.convert.converter import VoiceConverter, soften_peaks
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import extract_f0
from voiceconv.vocoder.griffin_lim import GriffinLim


@pytest.fixture(scope="module")
def converter(tiny_voice: Path) -> VoiceConverter:
    return VoiceConverter.from_pretrained(tiny_voice, vocoder="griffin-lim", device="cpu")


@pytest.mark.parametrize("samples", [1, 200, 385, 4410, 22050, 22051, 30001])
def test_output_is_exactly_as_long_as_the_input(converter: VoiceConverter, samples: int) -> None:
    wav = hum(200.0, 2.0)[:samples]
    converted = converter.convert(wav, "joe")
    assert converted.shape == (samples,)
    assert converted.dtype == np.float32
    assert np.isfinite(converted).all()


@pytest.mark.parametrize("gain", [0.02, 0.3, 2.0])
def test_level_follows_the_input(converter: VoiceConverter, gain: float) -> None:
    wav = gain * hum(200.0, 2.0)
    converted = converter.convert(wav, "joe")
    assert np.abs(converted).max() <= 1.0
    # An untrained generator makes noise, whose peaks may keep it from becoming as loud as a loud input.
    if gain < 1:
        assert measure_loudness(converted, SAMPLE_RATE) == pytest.approx(measure_loudness(wav, SAMPLE_RATE), abs=0.2)


def test_peaks_are_rounded_and_the_rest_is_left_alone() -> None:
    wav = np.linspace(-2, 2, 4001, dtype=np.float32)
    soft = soften_peaks(wav)
    assert np.array_equal(soft[np.abs(wav) <= 0.7], wav[np.abs(wav) <= 0.7])
    assert np.abs(soft).max() < 1
    assert (np.diff(soft) > 0).all()
    assert np.abs(np.diff(soft, 2)).max() < 1e-5  # no corner


def test_level_of_the_input_does_not_change_the_conversion(converter: VoiceConverter) -> None:
    wav = hum(200.0, 1.0)
    quiet, loud = converter.convert(0.05 * wav, "joe"), converter.convert(0.5 * wav, "joe")
    assert np.corrcoef(quiet, loud)[0, 1] > 0.99


def test_what_is_too_soft_to_be_measured_is_converted_all_the_same(converter: VoiceConverter) -> None:
    wav = hum(200.0, 1.0)
    wav *= 8e-4 / np.abs(wav).max()
    wav[5000] = 1.5e-3  # over the -60 dBFS that count as silence, while the whole is under -70 LUFS
    assert measure_loudness(wav, SAMPLE_RATE) == -np.inf
    converted = converter.convert(wav, "joe")
    assert 0.5 < converted.std() / wav.std() < 2


def test_silence_stays_silent(converter: VoiceConverter) -> None:
    assert not converter.convert(np.zeros(20000, np.float32), "joe").any()
    wav = hum(200.0, 3.0)
    wav[SAMPLE_RATE : 2 * SAMPLE_RATE] = 0
    converted = converter.convert(wav, "joe")
    inside = converted[SAMPLE_RATE + 768 : 2 * SAMPLE_RATE - 768]  # three hops
    assert not inside.any()
    assert converted[:SAMPLE_RATE].any()
    assert converted[2 * SAMPLE_RATE :].any()


def test_a_frame_does_not_depend_on_what_is_far_away(converter: VoiceConverter) -> None:
    """No normalisation over time: the same speech converts alike in a short clip and in a long one."""
    mel = torch.randn(80, 300) - 5
    whole, part = converter.convert_mel(mel, "joe"), converter.convert_mel(mel[:, 100:200], "joe")
    torch.testing.assert_close(part[:, 20:-20], whole[:, 120:180])


def test_the_vocoder_is_told_the_pitch_unless_the_network_moves_it(tiny_voice: Path) -> None:
    converter = VoiceConverter.from_pretrained(tiny_voice, vocoder="griffin-lim", device="cpu")
    read, f0 = torch.randn(80, 50) - 5, torch.tensor([110.0, 0.0] * 25)
    converted = converter.convert_mel(read, "joe")
    mel, spoken = converter.for_vocoder(read, f0, "joe")
    assert spoken is not None
    assert torch.equal(spoken, f0)
    assert torch.equal(mel[:, ::2], converted[:, ::2])
    # Both speakers of this voice have the same statistics, so the source as of the target is what was read.
    torch.testing.assert_close(mel[:, 1::2], (converted + read)[:, 1::2] / 2)
    converter.voice.input = "mel"
    mel, spoken = converter.for_vocoder(read, f0, "joe")
    assert spoken is None
    assert torch.equal(mel, converted)


@pytest.mark.parametrize("f0", [90.0, 130.0, 200.0, 320.0])
def test_auto_pitch_brings_any_voice_into_the_range_of_the_target(converter: VoiceConverter, f0: float) -> None:
    shift = converter.source_shift(extract_f0(hum(f0, 3.0), converter.sample_rate), "joe")
    in_range = abs(12 * np.log2(f0 / 200.0)) < 2  # taken for Allison, whose clips are not all at her mean either
    assert f0 * 2 ** (shift / 12) == pytest.approx(110.0 * (f0 / 200.0 if in_range else 1.0), rel=0.03)


def test_unknown_voice_names_the_nearest(converter: VoiceConverter) -> None:
    with pytest.raises(UserError, match="did you mean 'joe'"):
        converter.convert(hum(200.0, 1.0), "jo")


@pytest.mark.parametrize("pitch", [30.0, float("nan"), "high"])
def test_impossible_pitch_is_refused(converter: VoiceConverter, pitch: float) -> None:
    with pytest.raises(UserError, match="semitones from -24 to 24"):
        converter.convert(hum(200.0, 1.0), "joe", pitch=pitch)


def test_not_a_number_is_refused(converter: VoiceConverter) -> None:
    wav = hum(200.0, 1.0)
    wav[100] = np.nan
    with pytest.raises(UserError, match="not numbers"):
        converter.convert(wav, "joe")


def test_vocoder_of_another_mel_is_refused_by_field(converter: VoiceConverter) -> None:
    with pytest.raises(UserError, match=r"griffin-lim.*hop_length"):
        VoiceConverter(converter.voice, GriffinLim(MelConfig(hop_length=128)), torch.device("cpu"))


def test_similarities_of_the_two_voices_add_up(converter: VoiceConverter) -> None:
    wav = hum(200.0, 1.0)
    assert converter.similarity(wav, "joe") + converter.similarity(wav, "allison") == pytest.approx(1.0)
