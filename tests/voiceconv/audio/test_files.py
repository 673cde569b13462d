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

from tests.signals import sine
from voiceconv.audio.files import find_audio, load_audio, require_convertible, resample, save_audio
from voiceconv.audio.loudness import LOUDNESS, measure_loudness
from voiceconv.errors import UserError

RATE = 22050


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


# Levels


def test_the_start_of_a_recording_can_be_read_alone(tmp_path: Path) -> None:
    wav = np.concatenate([sine(300, 1.0), np.zeros(20 * RATE, np.float32)])
    soundfile.write(tmp_path / "a.wav", wav, RATE, subtype="FLOAT")
    assert np.abs(load_audio(tmp_path / "a.wav", RATE, loudness=None, seconds=0.5) - wav[: RATE // 2]).max() < 1e-3
    assert len(load_audio(tmp_path / "a.wav", RATE, seconds=60.0)) == len(wav)


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


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for name in ("a.wav", "metadata.csv", "speaker.json", "a.TextGrid", "cover.jpg", ".DS_Store"):
        (tmp_path / name).touch()
    find_audio(tmp_path)
    assert not recwarn.list
    for name in ("sub/b.ape", *(f"{n}.xyz" for n in range(7))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"^8 left out of .*: 0\.xyz, 1\.xyz, 2\.xyz, 3\.xyz, 4\.xyz and 3 more$"):
        assert find_audio(tmp_path) == [tmp_path / "a.wav"]


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
