"""The training step of a GAN: what learns when, from what; and that on easy points it learns them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from generative_core import GAN, GANConfig
from generative_core.losses import Adversarial, gradient_penalty, lipschitz_penalty
from generative_core.nets import ConvGenerator, ImageDiscriminator, MLPDecoder, MLPEncoder, StyleGenerator


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def points(config: GANConfig, augment: Callable[[Tensor], Tensor] | None = None) -> GAN:
    return GAN(
        config,
        generator=lambda: MLPDecoder(shape=(2,), latent=config.z_dim, hidden=(32, 32)),
        discriminator=lambda: MLPEncoder(shape=(2,), outputs=1, hidden=(32, 32)),
        augment=augment,
    )


def changed(module: nn.Module, step: Callable[[], object]) -> bool:
    before = [p.detach().clone() for p in module.parameters()]
    step()
    return any(not torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))


LOSSES: dict[str, GANConfig] = {
    "non-saturating": GANConfig(r1=0.5),
    "lsgan": GANConfig(adversarial="lsgan", r1=0.5),
    "hinge": GANConfig(adversarial="hinge", r1=0.5),
    "wasserstein": GANConfig(adversarial="wasserstein", gradient_penalty=1.0, critic_steps=3, betas=(0.0, 0.9)),
    "relativistic": GANConfig(adversarial="relativistic", r1=0.5, r2=0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("config", LOSSES.values(), ids=LOSSES)
def test_points_are_learnt_with_every_loss(config: GANConfig) -> None:
    """After some hundred steps the generated points are about where the real ones are, and as far spread."""
    model = points(GANConfig(**{**config.__dict__, "z_dim": 2, "generator_rate": 1e-3, "discriminator_rate": 2e-3}))
    optimizers = model.configure_optimizers()
    for step in range(400 * config.critic_steps):
        real = torch.randn(64, 2) * torch.tensor([0.5, 0.2]) + torch.tensor([1.0, -2.0])
        model.training_step({"x": real}, optimizers, step)
    fake = model.sample(4000)
    torch.testing.assert_close(fake.mean(0), torch.tensor([1.0, -2.0]), rtol=0, atol=0.4)
    torch.testing.assert_close(fake.std(0), torch.tensor([0.5, 0.2]), rtol=0, atol=0.2)


def test_the_generator_waits_for_the_discriminator() -> None:
    model = points(GANConfig(adversarial="wasserstein", critic_steps=3))
    optimizers = model.configure_optimizers()
    batch = {"x": torch.randn(8, 2)}
    learns = [changed(model.generator, lambda s=s: model.training_step(batch, optimizers, s)) for s in range(6)]
    assert learns == [False, False, True, False, False, True]
    assert changed(model.discriminator, lambda: model.training_step(batch, optimizers, 6))


def test_the_penalties_are_those_of_the_losses_weighted() -> None:
    """R1 on the real batch, R2 on the generated one, in every second step at twice the weight."""
    model = points(GANConfig(r1=3.0, r2=5.0, penalty_every=2))
    real, fake = torch.randn(8, 2), torch.randn(8, 2)
    losses, total = model._discriminator_loss(real, fake, (), True)
    plain, plain_total = model._discriminator_loss(real, fake, (), False)
    assert set(plain) == {"discriminator/loss", "discriminator/accuracy"}
    assert torch.equal(plain_total, losses["discriminator/loss"])
    real.requires_grad_(), fake.requires_grad_()
    r1, r2 = gradient_penalty(model.discriminator(real), real), gradient_penalty(model.discriminator(fake), fake)
    torch.testing.assert_close(losses["discriminator/r1"], r1)
    torch.testing.assert_close(losses["discriminator/r2"], r2)
    torch.testing.assert_close(total, plain_total + 2 * (3.0 * r1 + 5.0 * r2))


def test_the_gradient_penalty_is_taken_between_the_samples() -> None:
    model = points(GANConfig(adversarial="wasserstein", gradient_penalty=10.0))
    real, fake = torch.randn(8, 2), torch.randn(8, 2)
    torch.manual_seed(5)
    losses, total = model._discriminator_loss(real, fake, (), True)
    torch.manual_seed(5)
    weight = torch.rand(8, 1)
    between = (real + weight * (fake - real)).requires_grad_()
    penalty = lipschitz_penalty(model.discriminator(between), between)
    torch.testing.assert_close(losses["discriminator/gradient_penalty"], penalty)
    torch.testing.assert_close(total, losses["discriminator/loss"] + 10 * penalty)


@pytest.mark.parametrize("kind", ["non-saturating", "relativistic"])
def test_the_discriminator_learns_from_its_own_loss_alone(kind: Adversarial) -> None:
    """The gradient that is left in it, which the log shows, is that of its step and not of the generator's."""
    model = points(GANConfig(adversarial=kind, generator_rate=0.0, discriminator_rate=0.0))
    batch = {"x": torch.randn(8, 2)}
    torch.manual_seed(1)
    model.training_step(batch, model.configure_optimizers(), 0)
    left = [p.grad.clone() for p in model.discriminator.parameters() if p.grad is not None]
    torch.manual_seed(1)
    fake = model.generator(model.noise(8))
    _, total = model._discriminator_loss(batch["x"], fake, (), False)
    expected = torch.autograd.grad(total, list(model.discriminator.parameters()))
    torch.testing.assert_close(left, list(expected))
    assert all(p.requires_grad for p in model.discriminator.parameters())


def test_augmentation_comes_before_the_discriminator_on_both_sides() -> None:
    shown: list[Tensor] = []

    def augment(x: Tensor) -> Tensor:
        shown.append(x)
        return 0 * x

    model = points(GANConfig(), augment)
    batch = {"x": torch.randn(8, 2)}
    losses = model.training_step(batch, model.configure_optimizers(), 0)
    assert len(shown) == 2
    assert any(x is batch["x"] for x in shown)
    assert losses["discriminator/accuracy"] == 0.5, "it saw the same on both sides"


def test_conditional_sampling() -> None:
    config = GANConfig(z_dim=4, classes=3)
    model = GAN(
        config,
        generator=lambda: ConvGenerator(shape=(1, 8, 8), z_dim=4, classes=3, channels=8),
        discriminator=lambda: ImageDiscriminator(shape=(1, 8, 8), classes=3, channels=4),
    )
    z = model.noise(1).expand(3, -1)
    by_class = model.decode(z, torch.arange(3))
    assert not torch.allclose(by_class[0], by_class[1])
    torch.testing.assert_close(model.decode(z[:1], torch.tensor([1])), by_class[1:2])
    torch.manual_seed(2)
    labels = torch.randint(3, (5,))
    noise = model.noise(5)
    torch.manual_seed(2)
    torch.testing.assert_close(model.sample(5), model.decode(noise, labels))


def test_sampling_leaves_the_model_as_it_was() -> None:
    """A style-based generator mixes styles in training: its samples do not, and training goes on as before."""
    model = GAN(
        GANConfig(z_dim=8),
        generator=lambda: StyleGenerator(shape=(3, 8, 8), z_dim=8, w_dim=8, channels=4, style_mixing=1.0),
        discriminator=lambda: ImageDiscriminator(shape=(3, 8, 8), channels=4),
    ).train()
    z = model.noise(4)
    torch.testing.assert_close(model.decode(z), model.decode(z))
    assert model.generator.training
    assert model.sample(2, truncation=0.5).shape == (2, 3, 8, 8)
    assert not model.sample(1).requires_grad
