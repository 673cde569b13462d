"""What a vocoder minimises, on signals whose distances are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.signals import SAMPLE_RATE, hum
from voiceconv.vocoder_training.losses import ReconstructionLoss, log_mel_distance, stft_distance

loss = ReconstructionLoss(SAMPLE_RATE, {1024: 80, 256: 20}, lambda_mel=10.0)


def tone(f0: float, shift: int = 0) -> Tensor:
    return torch.from_numpy(hum(f0, 0.6)[1000 + shift : 9000 + shift])[None]


def test_nothing_is_nothing() -> None:
    assert loss(tone(140), tone(140)) == {"mel": 0}


def test_a_level_is_heard_in_nepers() -> None:
    noise = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    assert loss(2 * noise, noise)["mel"] == pytest.approx(10 * math.log(2), rel=1e-3)


def test_polarity_and_a_small_delay_cost_little_and_another_pitch_much() -> None:
    real = tone(140)
    assert loss(-real, real)["mel"] == pytest.approx(0.0, abs=1e-4)
    assert loss(tone(140, 8), real)["mel"] < 0.7 * loss(tone(150), real)["mel"]


def test_gradients_are_finite_in_silence() -> None:
    silence = torch.zeros(1, 4000, requires_grad=True)
    torch.stack(list(loss(silence, torch.zeros(1, 4000)).values())).sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


def test_scores_worked_out_by_hand() -> None:
    wav = tone(140)[0]
    assert stft_distance(wav, wav) == 0
    assert stft_distance(2 * wav, wav) == pytest.approx(1.0, rel=1e-4)
    assert stft_distance(0 * wav, wav) == pytest.approx(1.0, rel=1e-4)
    assert log_mel_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.5, 1.5]])) == 0.5
