"""Trains generative adversarial networks (Goodfellow et al. 2014, arXiv:1406.2661), with the loss as an option.

A generator turns noise into samples, a discriminator tells them from real ones, and each learns from the other. The
same class draws points `(B, D)` and pictures `(B, C, H, W)`, with or without a class condition: only the networks
handed to it differ, from two perceptrons to a style-based generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    gradient_penalty,
    lipschitz_penalty,
    mix_samples,
    spread,
)
from generative_core.saved import load_model
from generative_core.training.parallel import own_share


@dataclass(frozen=True)
class GANConfig:
    """WGAN-GP is `adversarial="wasserstein"` with `gradient_penalty=10` and `critic_steps=5`, R3GAN is "relativistic"
    with `r1` and `r2`. Rates are Adam's at the start, betas for both optimizers."""

    adversarial: Adversarial = "non-saturating"
    z_dim: int = 64
    classes: int = 0  # with classes, batches carry them as "y" and both networks take them as second argument
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 0.0  # WGAN-GP's, between real and generated samples
    penalty_every: int = 1  # apply all penalties in one of so many steps, as many times stronger (StyleGAN2)
    critic_steps: int = 1  # discriminator steps for one of the generator
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class GAN(nn.Module):
    """A generator, a discriminator, and the step that trains them.

    `generator(z, y)` makes samples of noise `(B, z_dim)` and classes `(B,)`, `discriminator(x, y)` gives outputs of any
    shape; without classes neither is given `y`. `augment` changes real and generated samples alike before the
    discriminator sees them, differentiably, so that it cannot learn a small training set by heart (Zhao et al. 2020,
    arXiv:2006.10738).
    """

    ema_modules = ("generator",)

    def __init__(
        self,
        config: GANConfig | None = None,
        *,
        generator: Callable[[], nn.Module],
        discriminator: Callable[[], nn.Module],
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.config = config or GANConfig()
        self.generator, self.discriminator = generator(), discriminator()
        self.augment = augment or nn.Identity()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> GAN:
        """Trained weights by name or from a file or folder, to draw samples with. Raises `UserError`."""

        def build(config: GANConfig, networks: dict[str, nn.Module]) -> GAN:
            return cls(config, generator=lambda: networks["generator"], discriminator=nn.Identity)

        return load_model(name_or_path, "GAN", GANConfig, build)

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), config.generator_rate, config.betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), config.discriminator_rate, config.betas),
        }

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on `batch["x"]` `(B, ...)` and with classes `batch["y"]` `(B,)`: discriminator, then generator."""
        config = self.config
        condition = (batch["y"],) if config.classes else ()
        generator_learns = (step + 1) % config.critic_steps == 0

        # Generate, and show both sides to the discriminator in the same way.
        with torch.set_grad_enabled(generator_learns):
            fake = self.generator(self.noise(len(batch["x"])), *condition)
            shown = self.augment(fake)
        real = self.augment(batch["x"])

        # Discriminator: tell real samples from generated ones.
        penalise = step % config.penalty_every == 0
        losses, total = self._discriminator_loss(real, shown.detach(), condition, penalise)
        optimizers["discriminator"].zero_grad(set_to_none=True)
        total.backward()
        optimizers["discriminator"].step()
        losses["discriminator/total"] = total

        # Generator: be taken for real.
        if generator_learns:
            self.discriminator.requires_grad_(False)
            on_real = self.discriminator(real, *condition) if config.adversarial == "relativistic" else None
            adversarial = adversarial_generator_loss(config.adversarial, self.discriminator(shown, *condition), on_real)
            optimizers["generator"].zero_grad(set_to_none=True)
            adversarial.backward()
            optimizers["generator"].step()
            self.discriminator.requires_grad_(True)
            losses["generator/total"] = adversarial
        losses["generator/spread"] = spread(fake) / spread(batch["x"])
        return {name: value.detach() for name, value in losses.items()}

    def _discriminator_loss(
        self, real: Tensor, fake: Tensor, condition: tuple[Tensor, ...], penalise: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What the discriminator's loss and penalties are, and their weighted sum."""
        config = self.config
        real = real.detach().requires_grad_(penalise and config.r1 > 0)
        fake = fake.detach().requires_grad_(penalise and config.r2 > 0)
        on_real, on_fake = self.discriminator(real, *condition), self.discriminator(fake, *condition)
        total = adversarial_discriminator_loss(config.adversarial, on_real, on_fake)
        losses = {"discriminator/loss": total}
        if config.adversarial != "wasserstein":  # whose outputs have no threshold between real and generated
            threshold = decision_threshold(config.adversarial)
            right = (on_real > threshold).float().mean() + (on_fake < threshold).float().mean()
            losses["discriminator/accuracy"] = right / 2
        if not penalise:
            return losses, total
        if config.r1:
            losses["discriminator/r1"] = gradient_penalty(on_real, real)
            total = total + config.penalty_every * config.r1 * losses["discriminator/r1"]
        if config.r2:
            losses["discriminator/r2"] = gradient_penalty(on_fake, fake)
            total = total + config.penalty_every * config.r2 * losses["discriminator/r2"]
        if config.gradient_penalty:
            between = mix_samples(real.detach(), fake.detach()).requires_grad_()
            penalty = lipschitz_penalty(self.discriminator(between, *condition), between)
            losses["discriminator/gradient_penalty"] = penalty
            total = total + config.penalty_every * config.gradient_penalty * penalty
        return losses, total

    def noise(self, count: int) -> Tensor:
        """`(count, z_dim)` of the normal prior, where the model is."""
        device = next(self.parameters()).device
        return own_share(lambda n: torch.randn(n, self.config.z_dim, device=device), count)

    def sample(self, count: int, y: Tensor | None = None, **options: Any) -> Tensor:
        """New samples `(count, ...)`, of the classes `y` `(count,)`, or of classes at random. `options` go to the
        generator, such as `truncation` to a style-based one."""
        if self.config.classes and y is None:
            y = torch.randint(self.config.classes, (count,))
        return self.decode(self.noise(count), y, **options)

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None, **options: Any) -> Tensor:
        """What the generator makes of noise `(B, z_dim)` and classes `(B,)`."""
        training = self.generator.training
        self.generator.eval()
        x = self.generator(z, *(() if y is None else (y.to(z.device),)), **options)
        self.generator.train(training)
        return x
