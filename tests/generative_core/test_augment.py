"""Random changes of images: what they do at known settings, and that gradients pass."""

from __future__ import annotations

import pytest
import torch

from generative_core.augment import random_affine


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_without_any_change_the_images_stay() -> None:
    x = torch.rand(5, 3, 7, 10)
    torch.testing.assert_close(random_affine(x), x)


def test_a_dot_is_shifted_within_bounds_and_differently_in_every_image() -> None:
    x = torch.zeros(200, 1, 21, 21)
    x[:, 0, 10, 10] = 1.0
    moved = random_affine(x, shift=3 / 21)[:, 0]
    torch.testing.assert_close(moved.sum((1, 2)), torch.ones(200))
    row = (moved.sum(2) * torch.arange(21)).sum(1) - 10
    column = (moved.sum(1) * torch.arange(21)).sum(1) - 10
    for offset in (row, column):
        assert offset.abs().max() <= 3.001
        assert offset.min() < -2.5
        assert offset.max() > 2.5
    assert not torch.allclose(row, column)


def test_a_turn_keeps_the_distance_from_the_middle() -> None:
    x = torch.zeros(100, 1, 41, 41)
    x[:, 0, 20, 32] = 1.0
    turned = random_affine(x, degrees=30)[:, 0]
    ys, xs = (turned.sum(axis) for axis in (2, 1))
    weight = turned.sum((1, 2))
    row = (ys * torch.arange(41)).sum(1) / weight - 20
    column = (xs * torch.arange(41)).sum(1) / weight - 20
    torch.testing.assert_close((row**2 + column**2).sqrt(), torch.full((100,), 12.0), rtol=0, atol=0.3)
    angle = torch.atan2(row, column).rad2deg()
    assert angle.abs().max() < 31
    assert angle.max() > 25
    assert angle.min() < -25


def test_scaling_changes_the_area() -> None:
    x = torch.zeros(100, 1, 40, 40)
    x[:, :, 10:30, 10:30] = 1.0
    side = random_affine(x, scale=0.2).sum((1, 2, 3)).sqrt()
    assert 15.9 < side.min() < 17
    assert 23 < side.max() < 24.1


def test_gradients_pass() -> None:
    x = torch.rand(2, 1, 6, 6, requires_grad=True)
    random_affine(x, degrees=10, scale=0.1, shift=0.1).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
