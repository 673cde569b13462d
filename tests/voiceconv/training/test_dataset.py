"""From a folder of recordings to training data: segments, split, cache, crops."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.training.dataset import MelCrops, prepare_speaker, segment, split


def test_long_pauses_are_cut_out_and_long_speech_is_divided() -> None:
    # A steady tone, so that the only pauses are those put in.
    tone = 0.1 * np.sin(2 * np.pi * 150 * np.arange(25 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    pieces = segment(np.concatenate([silence, tone, silence, tone[: 3 * SAMPLE_RATE], silence]), SAMPLE_RATE)
    seconds = [len(piece) / SAMPLE_RATE for piece in pieces]
    assert len(pieces) == 4  # 25 s in three parts, and 3 s
    assert sum(seconds) == pytest.approx(28, abs=0.8)
    assert max(seconds) <= 10


def test_short_pauses_stay() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 150 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    pause = np.zeros(SAMPLE_RATE // 10, np.float32)
    assert len(segment(np.concatenate([tone, pause, tone]), SAMPLE_RATE)) == 1


def test_segments_share_no_sample() -> None:
    """Pauses that are too short for both of the margins around them."""
    tone = 0.1 * np.sin(2 * np.pi * 150 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    for pause in (0.06, 0.13, 0.2):
        words = np.concatenate([tone, np.zeros(round(pause * SAMPLE_RATE), np.float32)] * 6)
        pieces = segment(words, SAMPLE_RATE)
        assert len(pieces) == 3
        assert sum(len(piece) for piece in pieces) <= len(words)
        assert sum(len(piece) for piece in pieces) > 0.98 * len(words)


def test_silence_and_blips_give_no_segments() -> None:
    assert segment(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE) == []
    blip = np.zeros(SAMPLE_RATE // 4, np.float32)
    blip[1000:1200] = 0.5
    assert segment(blip, SAMPLE_RATE) == []


def test_split_keeps_a_recording_together() -> None:
    names = [f"{r:02d}.wav#{s}" for r in range(20) for s in range(3)]
    train, development = split(names, seed=0)
    assert set(train).isdisjoint(development)
    assert set(train) | set(development) == set(names)
    assert len(development) == 6
    assert len({name.split("#")[0] for name in development}) == 2
    assert split(names, seed=0) == (train, development)
    assert split(names, seed=1) != (train, development)


def test_split_of_one_long_recording_goes_by_segment() -> None:
    train, development = split([f"talk.wav#{s}" for s in range(40)], seed=0)
    assert (len(train), len(development)) == (36, 4)


def test_crops_are_every_stretch_of_every_clip() -> None:
    mels = [torch.arange(*span)[None, None] for span in ((0.0, 5.0), (10.0, 13.0), (20.0, 22.0))]
    crops = MelCrops(mels, 3)
    found = [crops[i].flatten().tolist() for i in range(len(crops))]
    assert found == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [10, 11, 12], [20, 21, 20], [21, 20, 21]]
    assert crops[0].shape == (1, 1, 3)


def test_features_are_computed_once_until_something_changes(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "high.safetensors"
    data = prepare_speaker(two_speakers[0], cache, MelConfig())
    assert len(data.train) + len(data.development) == 12
    assert [f"{name}#0" for name in data.held_out_recordings] == list(data.development)
    assert data.pitch.median_hz == pytest.approx(210, rel=0.05)
    name = data.train[0]
    assert data.mels[name].shape[0] == 80
    assert data.f0[name].shape == (data.mels[name].shape[1],)
    mean, std = data.mel_statistics()
    frames = torch.cat([data.mels[n] for n in data.train], 1)
    torch.testing.assert_close((frames - mean[:, None]).mean(1), torch.zeros(80), atol=1e-4, rtol=0)
    assert std.min() >= 0.1

    def makes(folder: Path, config: MelConfig = MelConfig()) -> bool:  # noqa: B008 - a frozen record
        before = cache.stat().st_mtime_ns
        again = prepare_speaker(folder, cache, config)
        assert again.mels.keys() == data.mels.keys()
        return cache.stat().st_mtime_ns > before

    assert not makes(two_speakers[0])
    copy = Path(shutil.copytree(two_speakers[0], tmp_path / "copy", copy_function=shutil.copyfile))
    assert not makes(copy), "the same recordings, later and elsewhere"
    was = (copy / "01.wav").stat()
    save_audio(copy / "01.wav", soundfile.read(copy / "01.wav", dtype="float32")[0][::-1], SAMPLE_RATE)
    os.utime(copy / "01.wav", ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (copy / "01.wav").stat().st_size == was.st_size
    assert makes(copy), "another sound of the same name, size and time"
    assert makes(copy, MelConfig(f_max=7000.0))

    content = cache.read_bytes()
    cache.write_bytes(content[: len(content) // 2])
    assert makes(copy, MelConfig(f_max=7000.0)), "cut off"
    assert cache.read_bytes() == content
    cache.write_bytes(content.replace(b'"f0/00.wav#0"', b'"f0/00.wav#9"'))
    assert makes(copy, MelConfig(f_max=7000.0)), "a name in it is damaged"
    cache.write_bytes(content[:-1] + bytes([content[-1] ^ 0x40]))
    assert makes(copy, MelConfig(f_max=7000.0)), "a value in it is damaged"
    assert cache.read_bytes() == content


def test_unusable_recordings_are_named_and_left_out(tmp_path: Path) -> None:
    for number in range(10):
        save_audio(tmp_path / f"{number}.wav", hum(150, 2.5, number), SAMPLE_RATE)
    (tmp_path / "broken.wav").write_text("not audio")
    save_audio(tmp_path / "silent.wav", np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    with pytest.warns(UserWarning, match="broken.wav"):
        data = prepare_speaker(tmp_path, tmp_path / "cache" / "x.safetensors", MelConfig())
    assert not any("broken" in name or "silent" in name for name in data.mels)


def test_too_little_speech_is_refused_with_how_much_is_needed(tmp_path: Path) -> None:
    save_audio(tmp_path / "one.wav", hum(150, 3.0), SAMPLE_RATE)
    with pytest.raises(UserError, match=r"3 s of usable speech in 1 pieces; at least 20 s in 4 pieces"):
        prepare_speaker(tmp_path, tmp_path / "cache" / "x.safetensors", MelConfig())


def test_whispers_alone_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        save_audio(tmp_path / f"{number:02d}.wav", 0.1 * rng.standard_normal(3 * SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(UserError, match=r"nothing has a pitch"):
        prepare_speaker(tmp_path, tmp_path / "cache" / "a.safetensors", MelConfig())
