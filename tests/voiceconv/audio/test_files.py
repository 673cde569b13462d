"""Levels, rates, writing and finding of recordings; what the formats hold is in test_decoding.py."""

from __future__ import annotations

import math
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceconv.audio import files as audio
from voiceconv.audio.files import (
    LOUDNESS,
    LoudnessMeter,
    find_audio,
    load_audio,
    measure_loudness,
    normalise_loudness,
    require_convertible,
    resample,
    save_audio,
)
from voiceconv.errors import UserError

RATE = 22050


def sine(hz: float, seconds: float, rate: int = RATE, amplitude: float = 1.0) -> NDArray[np.float32]:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def decibels(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-12))


# Resampling


@pytest.mark.parametrize(("rate_from", "rate_to"), [(44100, 22050), (48000, 22050), (16000, 22050), (22050, 48000)])
def test_resampled_sine_is_the_sine_sampled_at_the_other_rate(rate_from: int, rate_to: int) -> None:
    """At half, and at nine tenths of the smaller Nyquist frequency; away from the ends, where the sine begins."""
    for share in (0.5, 0.9):
        hz = share * min(rate_from, rate_to) / 2
        resampled = resample(sine(hz, 1.0, rate_from, 0.5), rate_from, rate_to)
        expected = sine(hz, 1.0, rate_to, 0.5)
        assert abs(len(resampled) - len(expected)) <= 1
        np.testing.assert_allclose(resampled[1000:-1000], expected[1000 : len(resampled) - 1000], atol=5e-4)


@pytest.mark.parametrize("hz", [11_700, 14_000, 20_000])
def test_nothing_above_the_new_nyquist_frequency_comes_back_as_an_alias(hz: int) -> None:
    aliased = resample(sine(hz, 1.0, 44100), 44100, RATE)[1000:-1000]
    assert decibels(float(np.abs(aliased).max())) < -100


@pytest.mark.parametrize("samples", [1, 2, 777, 44101])
def test_load_resamples_block_by_block_as_if_at_once(tmp_path: Path, samples: int, monkeypatch) -> None:
    monkeypatch.setattr("voiceconv.audio.decoding._BLOCK", 1000)
    wav = np.random.default_rng(0).uniform(-0.4, 0.4, samples).astype(np.float32)
    wav -= wav.mean()
    soundfile.write(tmp_path / "noise.wav", wav, 44100, subtype="FLOAT")
    loaded = load_audio(tmp_path / "noise.wav", RATE, loudness=None)
    expected = resample(wav, 44100, RATE)
    np.testing.assert_allclose(loaded, expected - expected.mean(), atol=1e-6)


# Loudness


def test_weighting_is_the_one_the_standard_tabulates_for_48_khz() -> None:
    """ITU-R BS.1770-4, tables 1 and 2."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(audio._k_weighting(48000), [shelf, high_pass], rtol=0, atol=1e-11)


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


def test_the_start_of_a_recording_can_be_read_alone(tmp_path: Path) -> None:
    wav = np.concatenate([sine(300, 1.0), np.zeros(20 * RATE, np.float32)])
    soundfile.write(tmp_path / "a.wav", wav, RATE, subtype="FLOAT")
    assert np.abs(load_audio(tmp_path / "a.wav", RATE, loudness=None, seconds=0.5) - wav[: RATE // 2]).max() < 1e-3
    assert len(load_audio(tmp_path / "a.wav", RATE, seconds=60.0)) == len(wav)


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


def test_load_normalises_and_removes_the_offset(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "offset.wav", 0.2 + sine(300, 2.0, 44100, 0.05), 44100, subtype="PCM_24")
    loaded = load_audio(tmp_path / "offset.wav", RATE)
    assert abs(loaded.mean()) < 1e-6
    assert measure_loudness(loaded, RATE) == pytest.approx(LOUDNESS, abs=0.1)


def test_load_without_loudness_keeps_the_level_but_no_peak_above_one(tmp_path: Path) -> None:
    for amplitude, expected in ((0.25, 0.25), (8.0, 1.0)):
        soundfile.write(tmp_path / "tone.wav", sine(300, 1.0, amplitude=amplitude), RATE, subtype="FLOAT")
        loaded = load_audio(tmp_path / "tone.wav", RATE, loudness=None)
        assert np.abs(loaded).max() == pytest.approx(expected, rel=1e-3)


def test_a_lone_overload_in_silence_stays_in_range(tmp_path: Path) -> None:
    """Too short to have a loudness, but far outside [-1, 1]."""
    click = np.zeros(60 * RATE, np.float32)
    click[1000] = 2.0
    soundfile.write(tmp_path / "click.wav", click, RATE, subtype="FLOAT")
    assert np.abs(load_audio(tmp_path / "click.wav", RATE)).max() <= 1.0


# What can be converted


def test_speech_length_and_level_are_convertible() -> None:
    require_convertible(sine(200, 0.2, amplitude=0.002), RATE, max_seconds=0.2)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (np.zeros((2, RATE), np.float32), r"one channel.*\(2, 22050\)"),
        (np.zeros(0, np.float32), r"0\.00 s long, at least 0\.2 s"),
        (sine(200, 0.19), r"0\.19 s long, at least 0\.2 s"),
        (sine(200, 3.1), r"3\.1 s long, at most 3 s"),
        (np.array([0.5, math.nan] * RATE, np.float32), "not numbers"),
        (np.array([0.5, math.inf] * RATE, np.float32), "not numbers"),
        (sine(200, 1.0, amplitude=0.0009), "silent.*-60 dBFS"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_its_reason(wav: NDArray[np.float32], message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_convertible(wav, RATE, max_seconds=3.0)


# Writing


@pytest.mark.parametrize(
    ("name", "format_", "subtype", "tolerance"),
    [
        ("a.wav", "WAV", "PCM_16", 4e-5),
        ("A.WAV", "WAV", "PCM_16", 4e-5),
        ("a.flac", "FLAC", "PCM_16", 4e-5),
        ("a.ogg", "OGG", "VORBIS", 0.05),
    ],
)
def test_saved_sound_comes_back_with_its_provenance(
    tmp_path: Path, name: str, format_: str, subtype: str, tolerance: float
) -> None:
    wav = sine(440, 1.5, amplitude=0.6)
    comment = "Converted to “joe” by voiceconv 0.1.0 – voice allison-joe"
    save_audio(tmp_path / name, wav, RATE, comment=comment)
    with soundfile.SoundFile(tmp_path / name) as file:
        assert (file.format, file.subtype, file.samplerate, file.channels) == (format_, subtype, RATE, 1)
        assert file.comment == comment
    loaded = load_audio(tmp_path / name, RATE, loudness=None)
    assert loaded.shape == wav.shape
    np.testing.assert_allclose(loaded, wav, atol=tolerance)
    assert os.listdir(tmp_path) == [name]


def test_saving_needs_no_comment_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("something else")
    save_audio(str(path), sine(440, 0.5), RATE)
    assert soundfile.info(path).frames == RATE // 2
    assert os.listdir(tmp_path) == ["a.wav"]


def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", [-1.0, -3.0, 0.0, 1.0, 3.0, 1e30], RATE)
    stored = soundfile.read(tmp_path / "a.wav", dtype="int16")[0]
    assert stored[[1, 2]].tolist() == [stored[0], 0]
    assert stored[3:].tolist() == [32767] * 3
    assert stored[0] <= -32767


@pytest.mark.slow
def test_minutes_of_vorbis_survive(tmp_path: Path) -> None:
    """libsndfile has overflowed its stack when minutes came in one call."""
    save_audio(tmp_path / "long.ogg", sine(220, 400, amplitude=0.3), RATE)
    assert soundfile.info(tmp_path / "long.ogg").frames == 400 * RATE


def test_saved_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save_audio(tmp_path / "a.wav", sine(440, 0.5), RATE)
    usual, saved = ((tmp_path / name).stat().st_mode for name in ("plain", "a.wav"))
    assert stat.S_IMODE(saved) == stat.S_IMODE(usual)


@pytest.mark.parametrize(
    ("name", "wav", "message"),
    [
        ("a.mp4", np.zeros(9), r"a\.mp4.*ends in \.mp4.*\.wav, \.flac, \.ogg"),
        ("a", np.zeros(9), r"no extension.*\.wav, \.flac, \.ogg"),
        ("missing/a.wav", np.zeros(9), r"missing/a\.wav could not be written: No such file or directory"),
        ("file/a.wav", np.zeros(9), r"file/a\.wav could not be written: Not a directory"),
        ("folder.wav", np.zeros(9), r"folder\.wav could not be written: Is a directory"),
        ("a.wav", np.array([0.0, math.nan]), "not numbers"),
        ("a.wav", np.array([0.0, math.inf]), "not numbers"),
        ("a.wav", np.zeros((2, 9)), r"shape \(T,\), T > 0, but got \(2, 9\)"),
        ("a.flac", np.zeros(0), r"shape \(T,\), T > 0, but got \(0,\)"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, wav: NDArray[np.float64], message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=message):
        save_audio(tmp_path / name, wav, RATE)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.wav"]


def test_a_rate_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.flac cannot be written as FLAC at 1000000 Hz"):
        save_audio(tmp_path / "a.flac", np.zeros(9), 1_000_000)


@contextmanager
def little_space() -> Iterator[None]:
    """No file may grow beyond 10,000 bytes: the system refuses part of a write, as it does when a disk is full.

    Only inside: pytest's own output may be going to a file that is longer already.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_write_that_fails_midway_leaves_the_old_file(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", np.zeros(100), RATE)
    before = (tmp_path / "a.wav").read_bytes()
    with little_space(), pytest.raises(UserError, match=r"a\.wav could not be written: .*there is space"):
        save_audio(tmp_path / "a.wav", np.zeros(RATE), RATE)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.wav"]


# Finding


def test_finds_recordings_below_whatever_their_case_but_not_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.m4a", "sub/deep/c.Flac", "notes.txt", "wav", ".hidden.wav", ".trash/d.wav", "sub/._e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_audio(tmp_path) == [tmp_path / name for name in ("a.m4a", "b.WAV", "sub/deep/c.Flac")]
    assert find_audio(str(tmp_path / "sub")) == [tmp_path / "sub/deep/c.Flac"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "a.wav").touch()
    (elsewhere / "b.wav").touch()
    (folder / "loop").symlink_to(folder)
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    assert find_audio(folder) == [folder / "a.wav", folder / "linked" / "b.wav"]


def test_folders_without_recordings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"has no recordings in it\. Expected files named .*\.wav"):
        find_audio(tmp_path)
    with pytest.raises(UserError, match=r"missing does not exist"):
        find_audio(tmp_path / "missing")
    with pytest.raises(UserError, match=r"notes\.txt is a file, not a folder"):
        find_audio(tmp_path / "notes.txt")
