"""Every loss against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from generative_core.losses import (
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    gradient_penalty,
    lipschitz_penalty,
    mix_samples,
    patch_nce_loss,
    sliced_texture_distance,
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
        ("wasserstein", 0.0 - 1.0),
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
        ("wasserstein", 0.0),
        ("relativistic", (softplus(3) + softplus(-1)) / 2),
    ],
)
def test_generator_losses(kind: str, expected: float) -> None:
    assert adversarial_generator_loss(kind, FAKE, REAL).item() == pytest.approx(expected)


def test_unknown_and_incomplete_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="'earth-mover' is not one of"):
        adversarial_discriminator_loss("earth-mover", REAL, FAKE)
    with pytest.raises(ValueError, match="is not one of"):
        adversarial_generator_loss("earth-mover", FAKE)
    with pytest.raises(ValueError, match="real samples"):
        adversarial_generator_loss("relativistic", FAKE)


def test_gradient_penalty_of_a_known_function() -> None:
    """D(x) = sum(x^2) has the gradient 2x: for x = (1, 2) half its squared norm is 10, for x = (0, 3) it is 18."""
    x = torch.tensor([[1.0, 2.0], [0.0, 3.0]], requires_grad=True)
    penalty = gradient_penalty(x.square().sum(1), x)
    assert penalty.item() == pytest.approx(14.0)
    penalty.backward()  # d/dx of mean(2 x^2) is 2x, over a batch of two
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_penalties_against_autograd_by_hand() -> None:
    """One gradient a sample, each taken alone, for a discriminator whose gradient differs from sample to sample."""
    torch.manual_seed(0)
    weight = torch.randn(4, 6)

    def discriminator(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x.flatten(1) @ weight.T).square().sum(1)

    x = torch.randn(3, 2, 3, requires_grad=True)
    norms = [float(torch.autograd.grad(discriminator(sample[None])[0], sample)[0].norm()) for sample in x]
    assert gradient_penalty(discriminator(x), x).item() == pytest.approx(sum(n**2 for n in norms) / 3 / 2)
    assert lipschitz_penalty(discriminator(x), x).item() == pytest.approx(sum((n - 1) ** 2 for n in norms) / 3)


def test_lipschitz_penalty_of_a_plane_and_its_gradient() -> None:
    """D(x) = w x has the slope |w| everywhere: for w = (3, 4) the penalty is (5 - 1)^2, and its gradient in w is
    2 (|w| - 1) w / |w| = (4.8, 6.4)."""
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    x = torch.randn(5, 2, requires_grad=True)
    penalty = lipschitz_penalty(x @ w, x)
    assert penalty.item() == pytest.approx(16.0)
    penalty.backward()
    torch.testing.assert_close(w.grad, torch.tensor([4.8, 6.4]))


def test_mixed_samples_lie_between_theirs() -> None:
    torch.manual_seed(0)
    real, fake = torch.zeros(64, 2, 3), torch.ones(64, 2, 3)
    mixed = mix_samples(real, fake).flatten(1)
    assert torch.equal(mixed, mixed[:, :1].expand_as(mixed)), "one weight a sample"
    assert 0 <= mixed.min() < 0.1
    assert 0.9 < mixed.max() <= 1


def test_patches_are_told_from_those_of_the_same_picture() -> None:
    """Lengths do not count; with orthogonal keys the logits are 1 / temperature for the own patch and 0 for others."""
    key = torch.eye(3).expand(2, 3, 3)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert patch_nce_loss(5 * key, key, 0.5).item() == pytest.approx(expected)
    confused = key.roll(1, 1)
    assert patch_nce_loss(confused, key, 0.5).item() == pytest.approx(-math.log(1 / (math.exp(2) + 2)))
    query, key = torch.rand(1, 4, 3, requires_grad=True), torch.rand(1, 4, 3, requires_grad=True)
    patch_nce_loss(query, key).backward()
    assert query.grad is not None
    assert key.grad is None


def textures(seed: int, strength: float = 1.0, rows: int = 9) -> torch.Tensor:
    """A batch `(4, 1, rows, 40)` of slow waves with noise of some strength upon them."""
    noise = torch.randn(4, 1, rows, 40, generator=torch.Generator().manual_seed(seed))
    return strength * noise + 3 * torch.linspace(0, 6, 40).sin()


def test_texture_distance_is_about_the_batch_and_not_about_which_sample_is_which() -> None:
    real = textures(0)
    assert sliced_texture_distance(real[[2, 0, 3, 1]], real) == 0
    assert sliced_texture_distance(textures(1), real) < 0.4
    assert sliced_texture_distance(textures(1, strength=0.3), real) > 0.8


def test_texture_distance_of_weaker_details_by_hand() -> None:
    # Details half as strong are half a mean deviation away: .5 * E|x| = .5 * sqrt(2 / pi) deviations, in two bands.
    real = textures(0)
    real = real - real.mean()
    measured = sliced_texture_distance(0.5 * real, real, filters=400)
    assert measured.item() == pytest.approx(2 * 0.5 * math.sqrt(2 / math.pi), rel=0.1)


def test_texture_distance_compares_rows_with_themselves_and_leaves_slow_structure_alone() -> None:
    strong_above = torch.cat([textures(0, 2.0), textures(1, 0.2)], dim=2)
    strong_below = strong_above.flip(2)
    assert sliced_texture_distance(strong_above.flip(3), strong_above) < 0.3
    assert sliced_texture_distance(strong_below, strong_above) > 0.8
    slow = torch.linspace(-5, 5, 40)
    assert sliced_texture_distance(textures(0) + slow, textures(0)) < 0.1


def test_descending_the_texture_distance_gives_smooth_pictures_their_details_back() -> None:
    torch.manual_seed(0)
    real = textures(0)
    smooth = textures(1, strength=0.1).requires_grad_()
    optimizer = torch.optim.Adam([smooth], 0.05)
    before = smooth.detach().diff(dim=2).std()
    for _ in range(40):
        loss = sliced_texture_distance(smooth, real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < 0.3 * real.diff(dim=2).std()
    assert smooth.detach().diff(dim=2).std() > 0.8 * real.diff(dim=2).std()
