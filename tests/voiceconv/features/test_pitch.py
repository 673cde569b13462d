"""The F0 tracker on signals whose pitch is known, and a speaker's pitch in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voiceconv.features.pitch import (
    MIN_SHARED_FRAMES,
    PitchStatistics,
    extract_f0,
    f0_correlation,
    f0_offset,
    semitones_between,
)

SAMPLE_RATE = 22050
HOP = 256


def voice(f0: NDArray[np.floating] | float, seconds: float = 1.0, lowest: float = 0.0) -> NDArray[np.float32]:
    """Harmonics of `f0` (Hz, constant or per sample) between `lowest` Hz and 8 kHz, falling by 6 dB per octave."""
    contour = np.broadcast_to(np.asarray(f0, dtype=np.float64), (round(seconds * SAMPLE_RATE),))
    phase = 2 * np.pi * np.cumsum(contour) / SAMPLE_RATE
    numbers = range(1, int(8000 / contour.min()))
    wav = sum(np.sin(k * phase + k * k) / k * ((k * contour > lowest) & (k * contour < 8000)) for k in numbers)
    return (0.1 * np.asarray(wav)).astype(np.float32)


def at_frames(contour: NDArray[np.floating]) -> NDArray[np.floating]:
    return contour[HOP // 2 :: HOP][: len(contour) // HOP]


def cents(f0: NDArray[np.floating], truth: NDArray[np.floating] | float) -> NDArray[np.floating]:
    assert (f0 > 0).all(), "unvoiced frames in a voiced signal"
    return np.abs(1200 * np.log2(f0 / truth))


@pytest.mark.parametrize("f0", [65.0, 82.4, 110.0, 155.3, 220.0, 333.3, 440.0, 587.0])
def test_steady_pitch_within_10_cents(f0: float) -> None:
    assert cents(extract_f0(voice(f0), SAMPLE_RATE), f0).max() < 10


@pytest.mark.parametrize(("sample_rate", "hop"), [(16000, 160), (44100, 512), (48000, 4096)])
def test_other_rates_and_hops(sample_rate: int, hop: int) -> None:
    time = np.arange(sample_rate) / sample_rate
    wav = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    f0 = extract_f0(0.1 * np.asarray(wav), sample_rate, hop)
    assert len(f0) == sample_rate // hop
    assert cents(f0, 140).max() < 10


def test_pure_tone_and_missing_fundamental() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    assert cents(extract_f0(0.1 * np.sin(2 * np.pi * 200 * time), SAMPLE_RATE), 200).max() < 10
    assert cents(extract_f0(voice(100, lowest=350), SAMPLE_RATE), 100).max() < 10


def test_breath_that_rings_with_the_vocal_tract_is_no_high_voice() -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE // 5)
    time = np.arange(len(noise)) / SAMPLE_RATE
    resonance = np.exp(-np.pi * 20 * time) * np.sin(2 * np.pi * 520 * time)  # 520 Hz, 20 Hz wide
    breath = np.convolve(noise, resonance)[: len(noise)]
    breath = (0.1 * breath / np.abs(breath).max()).astype(np.float32)
    f0 = extract_f0(np.concatenate([voice(100), breath, voice(100)]), SAMPLE_RATE)
    assert (f0 < 110).all()
    assert cents(f0[:80], 100).max() < 10
    assert extract_f0(breath, SAMPLE_RATE).max() > 450  # alone, nothing says that it is not somebody's pitch


def test_an_octave_above_what_is_usual_is_still_pitch() -> None:
    f0 = extract_f0(np.concatenate([voice(100), voice(220, 0.3), voice(100)]), SAMPLE_RATE)
    assert cents(f0[90:108], 220).max() < 20


def test_glide_is_followed_frame_by_frame() -> None:
    contour = 100 * 3 ** np.linspace(0, 1, 2 * SAMPLE_RATE)
    f0 = extract_f0(voice(contour, 2.0), SAMPLE_RATE)
    # A tracker one frame out of step would be 11 cents off everywhere.
    assert np.median(cents(f0, at_frames(contour))) < 3
    assert cents(f0[3:-3], at_frames(contour)[3:-3]).max() < 20


def test_vibrato_keeps_its_depth_and_phase() -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    contour = 220 * 2 ** (np.sin(2 * np.pi * 5 * time) / 12)
    f0 = extract_f0(voice(contour, 2.0), SAMPLE_RATE)
    assert cents(f0, at_frames(contour)).max() < 30  # of 100 either way; the window smooths a little


def test_octave_is_right_under_noise_and_narrow_band() -> None:
    random = np.random.default_rng(0)
    contour = np.repeat([90.0, 130.0, 180.0, 260.0], SAMPLE_RATE // 2)
    clean = voice(contour, 2.0, lowest=120)  # as recorded by something that hears no bass
    noisy = clean + clean.std() * 10 ** (-10 / 20) * random.standard_normal(len(clean)).astype(np.float32)
    f0, truth = extract_f0(noisy, SAMPLE_RATE), at_frames(contour)
    voiced = f0 > 0
    assert voiced.mean() > 0.9
    assert (cents(f0[voiced], truth[voiced]) < 50).mean() > 0.97


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3])
def test_noise_is_unvoiced_at_any_level(level: float) -> None:
    random = np.random.default_rng(0)
    white = random.standard_normal(5 * SAMPLE_RATE)
    assert (extract_f0(level * white, SAMPLE_RATE) > 0).mean() < 0.01


def test_silence_is_unvoiced() -> None:
    assert not extract_f0(np.zeros(SAMPLE_RATE), SAMPLE_RATE).any()
    assert not extract_f0(np.full(SAMPLE_RATE, 0.5), SAMPLE_RATE).any()  # a constant offset is silence as well


def test_voicing_begins_and_ends_where_the_voice_does() -> None:
    wav = np.concatenate([np.zeros(HOP * 40), voice(150, HOP * 40 / SAMPLE_RATE), np.zeros(HOP * 40)])
    wav += 1e-4 * np.random.default_rng(0).standard_normal(len(wav))
    voiced = np.flatnonzero(extract_f0(wav, SAMPLE_RATE))
    assert abs(voiced[0] - 40) <= 2
    assert abs(voiced[-1] - 79) <= 2
    assert len(voiced) == voiced[-1] - voiced[0] + 1


def test_level_does_not_matter() -> None:
    wav = voice(170) + 0.01 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    np.testing.assert_allclose(extract_f0(0.05 * wav, SAMPLE_RATE), extract_f0(wav, SAMPLE_RATE), rtol=1e-3)


def test_limits_are_kept() -> None:
    f0 = extract_f0(voice(180), SAMPLE_RATE, f_min=70, f_max=150)
    assert ((f0 == 0) | ((f0 >= 70) & (f0 <= 150))).all()
    assert cents(f0, 90).max() < 10  # twice the period is a period, too


@pytest.mark.parametrize("samples", [0, 1, 255, 256, 257, 1000, 5000])
def test_one_value_per_hop_of_any_clip(samples: int) -> None:
    assert extract_f0(voice(200)[:samples], SAMPLE_RATE).shape == (samples // HOP,)


def test_long_clips_are_as_their_parts() -> None:
    wav = np.tile(voice(120 * 2 ** np.linspace(0, 1, SAMPLE_RATE // HOP * HOP + HOP)[:SAMPLE_RATE])[: 80 * HOP], 20)
    f0 = extract_f0(wav, SAMPLE_RATE)  # longer than what is analysed at once
    assert len(f0) == 1600
    np.testing.assert_allclose(f0[1370:1390], f0[90:110], rtol=1e-3)


def test_only_one_channel() -> None:
    with pytest.raises(ValueError, match="shape"):
        extract_f0(np.zeros((2, 1000)), SAMPLE_RATE)


def test_statistics_by_hand() -> None:
    statistics = PitchStatistics.from_f0([np.array([0.0, 100.0, 0.0]), np.array([400.0, 0.0])])
    assert statistics.mean == pytest.approx(np.log(200))
    assert statistics.std == pytest.approx(np.log(2))
    assert statistics.median_hz == pytest.approx(200)
    with pytest.raises(ValueError, match="no voiced frame"):
        PitchStatistics.from_f0([np.zeros(3)])


def test_statistics_leave_octave_errors_out() -> None:
    contour = 100 * np.exp(0.1 * np.random.default_rng(0).standard_normal(10_000))
    spoiled = np.concatenate([contour, np.full(300, 500.0), np.full(300, 50.0)])
    statistics = PitchStatistics.from_f0([spoiled])
    assert statistics.mean == pytest.approx(np.log(100), abs=0.005)
    assert statistics.std == pytest.approx(0.1, rel=0.05)
    assert PitchStatistics.from_f0([np.full(5, 100.0)]).std > 0


def test_semitones() -> None:
    assert semitones_between(220, 440) == pytest.approx(12)
    assert semitones_between(440, 220) == pytest.approx(-12)
    assert semitones_between(261.63, 392.0) == pytest.approx(7, abs=0.01)  # C to G


def test_f0_offset_is_in_semitones_over_voiced_frames() -> None:
    f0 = np.array([0.0, 200.0, 200.0, 0.0])
    assert f0_offset(f0, np.log(100.0)) == pytest.approx(12.0)
    assert f0_offset(f0, np.log(200.0 * 2 ** (3 / 12))) == pytest.approx(-3.0)
    assert np.isnan(f0_offset(np.zeros(5), np.log(100.0)))


def test_f0_correlation_ignores_transposition_and_frames_voiced_in_one_only() -> None:
    source = 150 * 2 ** (np.sin(np.linspace(0, 6, 60)) / 6)
    moved = 0.6 * source
    assert f0_correlation(moved, source) == pytest.approx(1.0)
    assert f0_correlation(1 / source, source) == pytest.approx(-1.0)
    moved[:10] = 0.0
    torn = source.copy()
    torn[-10:] = 0.0
    assert f0_correlation(np.append(moved, 80.0), torn) == pytest.approx(1.0)  # one frame longer


def test_f0_correlation_is_unknown_where_nothing_can_be_said() -> None:
    contour = np.linspace(100, 200, 60)
    assert np.isnan(f0_correlation(np.full(60, 120.0), contour))
    barely = np.where(np.arange(60) < MIN_SHARED_FRAMES - 1, contour, 0.0)
    assert np.isnan(f0_correlation(barely, contour))
