"""The mel definition, against librosa and at its edges."""

from __future__ import annotations

from dataclasses import asdict, replace

import librosa
import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram


@pytest.mark.parametrize(
    "config",
    [MelConfig(), MelConfig(sample_rate=16000, n_fft=512, win_length=512, hop_length=128, n_mels=40)],
)
def test_same_as_librosa(config: MelConfig) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE + 77).astype(np.float32)
    wav = noise + np.pad(hum(130, 2.0), (0, 77))
    spectrum = librosa.stft(
        np.pad(wav, (config.n_fft - config.hop_length) // 2, mode="reflect"),
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        center=False,
    )
    bands = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.f_min, fmax=config.f_max
    )
    expected = np.log(np.maximum(bands @ np.abs(spectrum), config.log_floor))
    np.testing.assert_allclose(MelSpectrogram(config)(torch.from_numpy(wav)).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("samples", [512, 1023, 1024, 22050])
def test_frames_and_leading_dimensions(samples: int) -> None:
    wav = torch.randn(2, 3, samples, generator=torch.Generator().manual_seed(0))
    mel = MelSpectrogram()(wav)
    assert mel.shape == (2, 3, 80, samples // 256)
    torch.testing.assert_close(mel[1, 2], MelSpectrogram()(wav[1, 2]))


def test_a_clip_too_short_to_pad_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 384 samples, got 384"):
        MelSpectrogram()(torch.zeros(384))


def test_frames_are_centred_half_a_hop_in() -> None:
    wav = torch.zeros(256 * 20)
    wav[256 * 7 + 128] = 1.0  # in the middle of frame 7
    energy = MelSpectrogram()(wav).exp().sum(0)
    assert energy.argmax() == 7
    torch.testing.assert_close(energy[6], energy[8])


def test_silence_is_the_floor_and_has_a_finite_gradient() -> None:
    wav = torch.zeros(1, 4096, requires_grad=True)
    mel = MelSpectrogram()(wav)
    assert (mel == np.log(np.float32(1e-5))).all()
    half_silent = torch.cat([wav, torch.ones(1, 4096).cumsum(1).mul(0.1).sin()], dim=1)
    MelSpectrogram()(half_silent).sum().backward()
    assert wav.grad is not None
    assert wav.grad.isfinite().all()


def test_gradient_is_that_of_finite_differences() -> None:
    config = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=4)
    wav = torch.randn(96, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(MelSpectrogram(config).double(), wav)


@pytest.mark.parametrize("semitones", [12.0, 4.37, -7.0])
def test_semitones_move_pitch_and_leave_time(semitones: float) -> None:
    time = torch.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    f0 = 1000.0
    onset = (time > 1.0).float()
    transform = MelSpectrogram()
    shifted = transform(0.3 * (2 * torch.pi * f0 * time).sin() * onset, semitones)
    expected = transform(0.3 * (2 * torch.pi * f0 * 2 ** (semitones / 12) * time).sin() * onset)
    assert shifted.shape == expected.shape
    sounding, silent = slice(90, -5), slice(0, 82)  # the tone begins in frame 86
    peak = expected[:, 120].argmax()
    assert (shifted[:, sounding].argmax(0) == peak).all()
    torch.testing.assert_close(shifted[peak, sounding], expected[peak, sounding], atol=0.1, rtol=0)
    assert shifted[:, silent].max() < -8


def test_require_same_names_the_differing_fields() -> None:
    MelConfig().require_same(MelConfig(), "The vocoder x")
    with pytest.raises(UserError) as error:
        MelConfig().require_same(replace(MelConfig(), hop_length=200, f_max=7600.0), "The vocoder x")
    message = str(error.value)
    assert message.startswith("The vocoder x was made for another mel")
    assert "hop_length (200 instead of 256)" in message
    assert "f_max (7600.0 instead of 8000.0)" in message
    assert "n_mels" not in message


def test_from_dict_takes_exactly_its_fields() -> None:
    values = asdict(replace(MelConfig(), n_mels=64))
    assert MelConfig.from_dict(values).n_mels == 64
    with pytest.raises(UserError, match="n_mells"):
        MelConfig.from_dict({**values, "n_mells": 80})
    del values["f_max"]
    with pytest.raises(UserError, match="f_max"):
        MelConfig.from_dict(values)
