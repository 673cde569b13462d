"""Trains a GAN that turns a condition into a waveform, as HiFi-GAN (Kong et al. 2020, arXiv:2010.05646) and later
neural vocoders do.

A reconstruction loss keeps the generator near the real waveform, but cannot determine details that the condition leaves
open (phases, noise). Discriminators, which see the waveform alone, teach those. As long as the reconstruction is coarse
they have nothing to teach and cost most of the time, so they may join later (`adversarial_after`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    relative_distance,
)
from generative_core.training.precision import autocast_where_fast

Reconstruction = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""`(generated, real)`, both `(B, T)` -> named terms, each a scalar that already carries its weight."""


@dataclass(frozen=True)
class WaveformGANConfig:
    """Rates are AdamW's at the start; betas and weight decay are those of HiFi-GAN."""

    adversarial: Adversarial = "hinge"
    adversarial_after: int = 0  # the step at which the discriminators join
    lambda_adversarial: float = 2.0  # mean over the discriminators
    lambda_features: float = 2.0  # mean over the discriminators' layers
    generator_rate: float = 5e-4
    discriminator_rate: float = 5e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 0.01
    # Run the networks under autocast where that is fast; losses stay in single precision.
    bfloat16: bool = False

    def __post_init__(self) -> None:
        if self.adversarial == "relativistic":
            raise ValueError("the relativistic loss compares outputs one by one, which waveforms of a batch are not")


class WaveformGAN(nn.Module):
    """A generator `(B, ...)` -> `(B, T)`, the discriminators, and the step that trains them.

    Each discriminator gives its raw outputs, of any shape, and a list of features: `(B, T)` -> `(outputs, features)`.
    """

    ema_modules = ("generator",)

    def __init__(
        self,
        config: WaveformGANConfig | None = None,
        *,
        generator: nn.Module,
        discriminators: Sequence[nn.Module],
        reconstruction: Reconstruction,
    ) -> None:
        super().__init__()
        self.config = config or WaveformGANConfig()
        self.generator = generator
        self.discriminators = nn.ModuleList(discriminators)
        self.reconstruction = reconstruction

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config

        def adam(module: nn.Module, rate: float) -> torch.optim.Optimizer:
            return torch.optim.AdamW(module.parameters(), rate, config.betas, weight_decay=config.weight_decay)

        return {
            "generator": adam(self.generator, config.generator_rate),
            "discriminator": adam(self.discriminators, config.discriminator_rate),
        }

    def reconstruct(self, condition: Tensor) -> Tensor:
        """The waveform `(B, T)` that belongs to a condition `(B, ...)`."""
        with self._autocast(condition):
            return self.generator(condition).float()

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on `batch["condition"]` `(B, ...)` and its `batch["waveform"]` `(B, T)`: discriminators, then
        generator."""
        config = self.config
        real = batch["waveform"]
        fake = self.reconstruct(batch["condition"])
        losses: dict[str, Tensor] = {}
        adversarial = step >= config.adversarial_after

        # Discriminators: tell real waveforms from generated ones.
        if adversarial:
            losses |= self._discriminator_losses(real, fake.detach())
            optimizers["discriminator"].zero_grad(set_to_none=True)
            losses["discriminator/total"].backward()
            optimizers["discriminator"].step()

        # Generator: come close to the real waveform, and give the discriminators' features of it.
        terms = self.reconstruction(fake, real)
        losses |= {f"generator/{name}": value for name, value in terms.items()}
        total = torch.stack(list(terms.values())).sum()
        if adversarial:
            losses |= self._adversarial_losses(real, fake)
            total = total + config.lambda_adversarial * losses["generator/adversarial"]
            total = total + config.lambda_features * losses["generator/features"]
        optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        optimizers["generator"].step()

        losses["generator/total"] = total
        return {name: value.detach() for name, value in losses.items()}

    def _discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        kind = self.config.adversarial
        threshold = decision_threshold(kind)
        total, right = [], []
        for discriminator in self.discriminators:
            on_real, on_fake = self._outputs(discriminator, real)[0], self._outputs(discriminator, fake)[0]
            total.append(adversarial_discriminator_loss(kind, on_real, on_fake))
            right.append(((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2)
        return {
            "discriminator/total": torch.stack(total).mean(),
            "discriminator/accuracy": torch.stack(right).mean(),
        }

    def _adversarial_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        adversarial, matching = [], []
        self.discriminators.requires_grad_(False)  # their gradients of this loss would be computed for nothing
        for discriminator in self.discriminators:
            with torch.no_grad():
                wanted = self._outputs(discriminator, real)[1]
            outputs, features = self._outputs(discriminator, fake)
            adversarial.append(adversarial_generator_loss(self.config.adversarial, outputs))
            matching.append(relative_distance(features, wanted))
        self.discriminators.requires_grad_(True)
        return {
            "generator/adversarial": torch.stack(adversarial).mean(),
            "generator/features": torch.stack(matching).mean(),
        }

    def _outputs(self, discriminator: nn.Module, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        with self._autocast(wav):
            outputs, features = discriminator(wav)
        return outputs.float(), features

    def _autocast(self, x: Tensor) -> torch.autocast:
        return autocast_where_fast(x.device, wanted=self.config.bfloat16)
