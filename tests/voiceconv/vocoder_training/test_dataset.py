"""Crops for a vocoder: a mel and the very samples it was made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.vocoder_training.dataset import CropLoader, Speech, prepare_speech

MEL = MelConfig()
to_mel = MelSpectrogram(MEL)


def speech(*lengths: int) -> Speech:
    """Segments of so many samples of hum, all of them trained on."""
    wavs = {
        f"x/{i}.wav#0": torch.from_numpy(hum(140 + 10 * i, length / SAMPLE_RATE + 1)[:length] * 32767).short()
        for i, length in enumerate(lengths)
    }
    f0 = {name: torch.full((len(wav) // 256,), 140.0) for name, wav in wavs.items()}
    return Speech(wavs, f0, tuple(wavs), ())


def loader(data: Speech, **options: int) -> CropLoader:
    return CropLoader(data, MEL, **{"batch_size": 3, "frames": 8, **options})


def test_shapes_and_alignment() -> None:
    batch = next(loader(speech(20_000, 9_000)))
    assert batch["condition"].shape == (3, 82, 8)
    assert batch["waveform"].shape == (3, 8 * 256)
    # Frames that lie within the crop are those of its samples.
    for mel, wav in zip(batch["condition"], batch["waveform"], strict=True):
        torch.testing.assert_close(to_mel(wav)[:, 2:6], mel[:80, 2:6], atol=1e-3, rtol=0)


def test_a_crop_has_the_mel_of_its_segment() -> None:
    data = speech(20_000)
    name = data.train[0]
    mel, wav = loader(data)._crop(name, 10 * 256, 0.0)
    torch.testing.assert_close(mel[:80], to_mel(data.wav(name))[:, 10:18], atol=1e-3, rtol=0)
    assert torch.equal(wav, data.wav(name)[10 * 256 : 18 * 256])


def test_the_gain_is_in_decibels_and_never_clips() -> None:
    data = speech(20_000)
    name = data.train[0]
    original = data.wav(name)[:2048]
    assert torch.allclose(loader(data)._crop(name, 0, -20.0)[1], original / 10)
    assert loader(data)._crop(name, 0, 60.0)[1].abs().max() <= 0.99


def test_short_segments_are_followed_by_silence() -> None:
    data = speech(1000)
    batch = next(loader(data))
    assert (batch["waveform"][:, 1000:] == 0).all()
    torch.testing.assert_close(batch["condition"][:, :80, -1], loader(data).silence.T.expand(3, -1))


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    data = speech(20_000, 9_000)
    first = loader(data, seed=1)
    batches = [next(first) for _ in range(3)]
    again = loader(data, seed=1)
    again.load_state_dict({"seed": 1, "position": 2})
    assert torch.equal(next(again)["condition"], batches[2]["condition"])
    assert not torch.equal(next(loader(data, seed=2))["condition"], batches[0]["condition"])


def test_every_segment_is_drawn_by_its_length() -> None:
    data = speech(2048 + 3000, 2048 + 1000)
    drawn = loader(data)
    assert drawn.ends == [3000, 4000]


def test_converted_mels_come_with_the_samples_they_stand_for() -> None:
    data = speech(10 * 256)
    name = data.train[0]
    numbered = torch.arange(10.0).expand(80, -1)  # a mel whose values are the frames' numbers
    data = replace(data, converted={name: numbered})
    mel, wav = loader(data)._converted_crop(name, 1)
    assert mel[0].tolist() == list(range(1, 9))
    assert torch.equal(wav, data.wav(name)[256 : 9 * 256])
    mel, wav = loader(data, frames=12)._converted_crop(name, 0)
    assert torch.equal(mel[:80, 10:], loader(data).silence.expand(-1, 2))
    assert (wav[2560:] == 0).all()
    drawn = torch.cat([next(loader(data, seed=seed))["condition"][:, 0] for seed in range(20)])
    share = (drawn >= 0).all(1).float().mean()  # real log-mels of a hum are below zero somewhere
    assert 0.3 < share < 0.7


def test_folders_are_read_once_and_split(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    data = prepare_speech(two_speakers, tmp_path, MEL)
    assert {name.split("/")[0] for name in data.development} == {"high", "low"}
    assert len(data.development) == 4  # two recordings of each
    assert not set(data.train) & set(data.development)
    assert data.held_out_recordings == sorted(name.split("#")[0] for name in data.development)
    assert data.wav(data.train[0]).abs().max() <= 1
    written = (tmp_path / "high.safetensors").stat().st_mtime_ns
    again = prepare_speech(two_speakers, tmp_path, MEL)
    assert (tmp_path / "high.safetensors").stat().st_mtime_ns == written
    assert again.train == data.train


def test_what_cannot_be_trained_on_is_refused(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"same name \(high, high\)"):
        prepare_speech([two_speakers[0], two_speakers[0]], tmp_path, MEL)
    (tmp_path / "short").mkdir()
    save_audio(tmp_path / "short" / "one.wav", hum(150.0, 3.0), SAMPLE_RATE)
    with pytest.raises(UserError, match="3 s of usable speech in 1 pieces"):
        prepare_speech([tmp_path / "short"], tmp_path / "cache", MEL)


def test_the_pitch_of_a_crop_is_that_of_its_frames_and_is_held_where_unvoiced() -> None:
    data = speech(10 * 256)
    name = data.train[0]
    contour = torch.tensor([0.0, 100, 110, 0, 0, 120, 130, 140, 0, 150])
    data = replace(data, f0={name: contour})
    condition = loader(data)._crop(name, 256 + 100, 0.0)[0]  # nearer to frame 1 than to 2
    assert condition[80].tolist() == [100, 110, 110, 110, 120, 130, 140, 140]
    assert condition[81].tolist() == [1, 1, 0, 0, 1, 1, 1, 0]
    condition = loader(data)._crop(name, 6 * 256, 0.0)[0]
    assert condition[80].tolist() == [130, 140, 140, 150, 150, 150, 150, 150]
    assert condition[81].tolist() == [1, 1, 0, 1, 0, 0, 0, 0]
