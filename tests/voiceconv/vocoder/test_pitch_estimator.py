"""Pitch from a mel: what is held, how phases add up, what the answers mean."""

from __future__ import annotations

import math

import pytest
import torch

from voiceconv.vocoder.pitch_estimator import LOWEST_HZ, PAUSE, PITCHES, UNKNOWN_HZ, PitchEstimator, hold, phases


def test_unvoiced_stretches_hold_the_last_pitch() -> None:
    f0 = torch.tensor([[0.0, 0, 100, 0, 120, 0, 0], [90, 0, 0, 0, 0, 0, 95]])
    u = UNKNOWN_HZ
    assert hold(f0).tolist() == [[u, u, 100, 100, 120, 120, 120], [90, 90, 90, 90, 90, 90, 95]]


def test_phases_worked_out_by_hand() -> None:
    # Hops of 100 samples at 10,000 Hz are 10 ms: 100 Hz turn once, from 100 to 150 Hz 1.25 times.
    voiced = torch.ones(4)
    assert phases(torch.tensor([100.0, 100.0, 150.0, 150.0]), voiced, 100, 10_000).tolist() == pytest.approx(
        [0.0, 0.0, math.pi / 2, 1.5 * math.pi], abs=1e-5
    )
    assert phases(torch.tensor([25.0, 25.0]), voiced[:2], 100, 10_000, start=1.0).tolist() == pytest.approx(
        [1.0, 1.0 + math.pi / 2], abs=1e-5
    )


def test_the_phase_begins_anew_after_a_pause_and_only_then() -> None:
    f0 = torch.full((20,), 25.0)  # a quarter of a turn each frame
    for unvoiced, forgotten in ((PAUSE, False), (PAUSE + 1, True)):
        voiced = torch.ones(20)
        voiced[3 : 3 + unvoiced] = 0
        quarters = (phases(f0, voiced, 100, 10_000) / (math.pi / 2)).round().int() % 4
        onset = 3 + unvoiced
        assert quarters[:onset].tolist() == [i % 4 for i in range(onset)]
        assert int(quarters[onset]) == (0 if forgotten else onset % 4)
        assert int(quarters[onset + 1]) == (int(quarters[onset]) + 1) % 4
    voiced = torch.tensor([0.0, 0, 0, 1, 1])
    first = phases(f0[:5], voiced, 100, 10_000, start=0.3, unvoiced_before=PAUSE - 2)
    assert float(first[3]) == 0.0
    first = phases(f0[:5], voiced, 100, 10_000, start=0.3, unvoiced_before=PAUSE - 3)
    assert float(first[3]) == pytest.approx(0.3 + 1.5 * math.pi)


def test_phases_do_not_drift_in_an_hour() -> None:
    f0 = torch.full((310_000,), 123.4)
    exact = 2 * math.pi * ((309_999 * 256 / 22050 * float(f0[0])) % 1)
    assert float(phases(f0, torch.ones_like(f0), 256, 22050)[-1]) == pytest.approx(exact, abs=1e-3)


def test_a_certain_answer_is_the_pitch_of_its_class() -> None:
    network = PitchEstimator(80, channels=8, blocks=1)
    torch.nn.init.zeros_(network.leave.weight)
    torch.nn.init.zeros_(network.leave.bias)
    mel = torch.zeros(1, 80, 3)
    with torch.no_grad():
        network.leave.bias[1 + 36] = 20.0  # twelve semitones, an octave, over the lowest
        assert network.contour(mel).tolist()[0] == pytest.approx([2 * LOWEST_HZ] * 3, rel=1e-3)
        network.leave.bias[0] = 30.0
        assert network.contour(mel).tolist() == [[0, 0, 0]]
    assert network(mel).shape == (1, 1 + PITCHES, 3)


def test_the_loss_is_lowest_for_the_right_answer() -> None:
    network = PitchEstimator(80, channels=8, blocks=1)
    torch.nn.init.zeros_(network.leave.weight)
    torch.nn.init.zeros_(network.leave.bias)
    mel, f0 = torch.zeros(1, 80, 2), torch.tensor([[110.0, 110.0]])
    with torch.no_grad():
        unsure = network.loss(mel, f0)
        assert float(unsure) == pytest.approx(math.log(1 + PITCHES), rel=1e-5)
        network.leave.bias[1 + 36] = 5.0
        right = network.loss(mel, f0)
        assert right < unsure < network.loss(mel, 0 * f0) < network.loss(mel, 2 * f0) + 1e-6


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_the_lookahead_is_exact(lookahead: int) -> None:
    torch.manual_seed(0)
    network = PitchEstimator(80, channels=16, blocks=2, lookahead=lookahead).eval()
    mel = torch.randn(1, 80, 60)
    changed = mel.clone()
    changed[..., 40] += 1
    different = (network(mel) != network(changed)).any(1)[0].nonzero()
    assert int(different.min()) == 40 - lookahead
    assert int(different.max()) == 40 + network.context
