"""Pitch and formants move by what was asked, each without the other, and the timing stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE
from voiceconv.mel import MelSpectrogram
from voiceconv.source_filter import move, smooth, stretch

FORMANT = 700.0


@pytest.fixture(scope="module")
def mel() -> MelSpectrogram:
    return MelSpectrogram()


def vowel(f0: float, seconds: float = 0.5) -> torch.Tensor:
    """Harmonics of `f0` under one broad resonance at `FORMANT`."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(8000 / f0))
    strength = 1 / (1 + ((harmonics * f0 - FORMANT) / 250) ** 2) + 0.01
    wav = (strength[:, None] * np.cos(2 * np.pi * f0 * harmonics[:, None] * t)).sum(0)
    return torch.from_numpy((0.3 * wav / np.abs(wav).max()).astype(np.float32))


def spectrum(mel: MelSpectrogram, log_mel: torch.Tensor) -> torch.Tensor:
    return log_mel[:, 10:-10].mean(1)


def as_bands(mel: MelSpectrogram, wav: torch.Tensor) -> torch.Tensor:
    return spectrum(mel, mel(wav))


def test_moving_nothing_is_the_mel_spectrogram(mel: MelSpectrogram) -> None:
    wav = vowel(150.0)
    assert torch.equal(move(mel, wav), mel(wav))


@pytest.mark.parametrize("semitones", [-12.0, -5.0, 4.0, 12.0])
def test_moved_pitch_is_that_of_a_voice_that_speaks_there(mel: MelSpectrogram, semitones: float) -> None:
    """The bands up to 2 kHz, where a mel-spectrogram shows harmonics, against the same vowel sung at that pitch."""
    f0 = 180.0
    moved = spectrum(mel, move(mel, vowel(f0), pitch=semitones))
    sung = as_bands(mel, vowel(f0 * 2 ** (semitones / 12)))
    unmoved = as_bands(mel, vowel(f0))
    low = slice(4, 45)

    def fit(x: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([x[low], sung[low]]))[0, 1])

    assert fit(moved) > 0.85
    assert fit(moved) > fit(unmoved) + 0.1


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_moved_formants_leave_the_pitch_alone(mel: MelSpectrogram, semitones: float) -> None:
    """The strongest band moves with the formant, the ripple of the harmonics stays where it was."""
    wav = vowel(110.0)
    before, after = as_bands(mel, wav), spectrum(mel, move(mel, wav, formants=semitones))
    centre = torch.arange(80).float()
    weights = [(x.exp() ** 2)[:50] for x in (before, after)]
    formant = [float((w * centre[:50]).sum() / w.sum()) for w in weights]
    hertz_per_band = 36.9  # Slaney's bands are linear below 1 kHz
    expected = FORMANT * (2 ** (semitones / 12) - 1) / hertz_per_band
    assert formant[1] - formant[0] == pytest.approx(expected, abs=1.5)

    def ripple(x: torch.Tensor) -> torch.Tensor:
        x = x[:26]
        return x - torch.nn.functional.avg_pool1d(x[None, None], 5, 1, 2, count_include_pad=False)[0, 0]

    assert torch.corrcoef(torch.stack([ripple(before)[3:23], ripple(after)[3:23]]))[0, 1] > 0.9


@pytest.mark.parametrize("pitch", [-13.0, 13.0])
def test_timing_stays(mel: MelSpectrogram, pitch: float) -> None:
    wav = torch.cat([torch.zeros(SAMPLE_RATE // 2), vowel(150.0), torch.zeros(SAMPLE_RATE // 2)])
    moved, own = move(mel, wav, pitch=pitch), mel(wav)
    assert moved.shape == own.shape
    level = [x.exp().sum(0) for x in (moved, own)]
    on, off = [[int(f) for f in (x > 0.3 * x.max()).nonzero()[[0, -1], 0]] for x in level]
    assert np.abs(np.array(on) - np.array(off)).max() <= 3  # a longer window blurs, but moves nothing


def test_smooth_keeps_slow_ripples_and_removes_fast_ones(mel: MelSpectrogram) -> None:
    frequency = torch.arange(513) * SAMPLE_RATE / 1024
    slow = torch.cos(2 * torch.pi * frequency * 0.0005)  # a quefrency of 0.5 ms
    fast = torch.cos(2 * torch.pi * frequency * 0.008)
    smoothed = smooth(slow + fast, 0.002, mel)
    torch.testing.assert_close(smoothed[20:-20], slow[20:-20], atol=0.05, rtol=0)


def test_stretch_reads_between_the_bins() -> None:
    ramp = torch.arange(6.0)
    torch.testing.assert_close(stretch(ramp, 2.0), torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]))
    torch.testing.assert_close(stretch(ramp, 0.5), torch.tensor([0.0, 2.0, 4.0, 5.0, 5.0, 5.0]))
