"""Every loss against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from generative_core.losses import (
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    gradient_penalty,
)

REAL, FAKE = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lsgan", ((1 + 1) / 2 + (1 + 1) / 2) / 2),
        ("non-saturating", (softplus(-2) + softplus(0)) / 2 + (softplus(-1) + softplus(1)) / 2),
        ("hinge", (0 + 1) / 2 + (0 + 2) / 2),
        ("relativistic", (softplus(-3) + softplus(1)) / 2),
    ],
)
def test_discriminator_losses(kind: str, expected: float) -> None:
    assert adversarial_discriminator_loss(kind, REAL, FAKE).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lsgan", (4 + 0) / 2),
        ("non-saturating", (softplus(1) + softplus(-1)) / 2),
        ("hinge", 0.0),
        ("relativistic", (softplus(3) + softplus(-1)) / 2),
    ],
)
def test_generator_losses(kind: str, expected: float) -> None:
    assert adversarial_generator_loss(kind, FAKE, REAL).item() == pytest.approx(expected)


def test_unknown_and_incomplete_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="'wasserstein' is not one of"):
        adversarial_discriminator_loss("wasserstein", REAL, FAKE)
    with pytest.raises(ValueError, match="is not one of"):
        adversarial_generator_loss("wasserstein", FAKE)
    with pytest.raises(ValueError, match="real samples"):
        adversarial_generator_loss("relativistic", FAKE)


def test_gradient_penalty_of_a_known_function() -> None:
    """D(x) = sum(x^2) has the gradient 2x: for x = (1, 2) half its squared norm is 10, for x = (0, 3) it is 18."""
    x = torch.tensor([[1.0, 2.0], [0.0, 3.0]], requires_grad=True)
    penalty = gradient_penalty(x.square().sum(1), x)
    assert penalty.item() == pytest.approx(14.0)
    penalty.backward()  # d/dx of mean(2 x^2) is 2x, over a batch of two
    torch.testing.assert_close(x.grad, 2 * x.detach())
