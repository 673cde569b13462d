"""Loudness against the standard, against pyloudnorm, and piece by piece."""

from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest

from tests.signals import sine
from voiceconv.audio.loudness import LOUDNESS, LoudnessMeter, _k_weighting, measure_loudness, normalise_loudness

RATE = 22050


def test_weighting_is_the_one_the_standard_tabulates_for_48_khz() -> None:
    """ITU-R BS.1770-4, tables 1 and 2."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(_k_weighting(48000), [shelf, high_pass], rtol=0, atol=1e-11)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.1, 0.39, 0.4, 5.0])
def test_full_scale_997_hz_measures_minus_3_01(rate: int, seconds: float) -> None:
    """The calibration that BS.1770 gives for one channel, at any rate, and for clips under its block of 0.4 s too."""
    assert measure_loudness(sine(997, seconds, rate), rate) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        # EBU Tech 3341, cases 1 to 4, whose figures are for two channels: 3.01 LU more than one has.
        ([(20, -23)], -23.0),
        ([(20, -33)], -33.0),
        ([(10, -36), (60, -23), (10, -36)], -23.0),
        ([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], -23.0),
        ([(20, -26), (20.1, -20), (20, -26)], -23.0),
    ],
)
def test_loudness_is_gated_as_the_ebu_test_signals_demand(segments: list[tuple[float, float]], expected: float) -> None:
    wav = np.concatenate([sine(1000, seconds, 16000, 10 ** (level / 20)) for seconds, level in segments])
    assert measure_loudness(wav, 16000) == pytest.approx(expected - 3.01, abs=0.1)


def test_doubling_adds_six_decibels() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 3 * RATE).astype(np.float32)
    assert measure_loudness(2 * noise, RATE) - measure_loudness(noise, RATE) == pytest.approx(6.0206, abs=1e-3)


def test_loudness_of_more_than_a_minute_has_no_seam() -> None:
    """The filter runs over a minute at a time; a low tone would show a filter that starts anew."""
    minute, longer = sine(40, 60, 8000), sine(40, 130, 8000)
    assert measure_loudness(longer, 8000) == pytest.approx(measure_loudness(minute, 8000), abs=1e-3)
    meter = LoudnessMeter(8000)
    meter.push(longer)
    hops = np.concatenate(meter.energies)
    assert hops[5:].max() / hops[5:].min() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("samples", [500, 3199, 3200, 3201, 40_000])
def test_loudness_is_the_same_however_the_sound_is_pushed(samples: int) -> None:
    noise = np.random.default_rng(2).normal(0, 0.05, samples).astype(np.float32)
    meter = LoudnessMeter(8000)
    for piece in np.split(noise, [1, 2, 400, 1700, 9_999]):
        meter.push(piece)
    assert meter.loudness() == pytest.approx(measure_loudness(noise, 8000), abs=1e-9)


@pytest.mark.parametrize("samples", [0, 1, 1000, 3 * RATE])
def test_silence_measures_minus_infinity_and_is_left_alone(samples: int) -> None:
    silence = np.zeros(samples, np.float32)
    assert measure_loudness(silence, RATE) == -math.inf
    assert np.array_equal(normalise_loudness(silence, RATE), silence)


def test_barely_audible_noise_is_not_blown_up() -> None:
    hiss = np.random.default_rng(2).uniform(-9e-4, 9e-4, RATE).astype(np.float32)
    assert np.array_equal(normalise_loudness(hiss, RATE), hiss)


@pytest.mark.parametrize("target", [LOUDNESS, -30.0])
@pytest.mark.parametrize("level", [0.01, 0.5])
def test_normalised_to_the_target(level: float, target: float) -> None:
    normalised = normalise_loudness(sine(500, 1.0, amplitude=level), RATE, target)
    assert normalised.dtype == np.float32
    assert measure_loudness(normalised, RATE) == pytest.approx(target, abs=0.01)


def test_peaks_stay_below_full_scale_even_where_the_target_is_missed() -> None:
    clicks = sine(500, 1.0, amplitude=0.001)
    clicks[::5000] = 0.5
    normalised = normalise_loudness(clicks, RATE, -10.0)
    assert np.abs(normalised).max() == pytest.approx(0.99, abs=1e-6)
    assert measure_loudness(normalised, RATE) < -10.0


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_recordings_that_end_with_a_block_measure_as_with_pyloudnorm(rate: int) -> None:
    """Whose blocks otherwise include one that is padded with silence."""
    random = np.random.default_rng(3)
    level = np.repeat(10 ** random.uniform(-4, -0.5, 40), rate // 10)
    wav = (level * random.standard_normal(len(level))).astype(np.float32)
    expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(wav.astype(np.float64))
    assert measure_loudness(wav, rate) == pytest.approx(expected, abs=1e-6)
