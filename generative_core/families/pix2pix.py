"""Trains pix2pix: translation learned from pairs (Isola et al. 2017, arXiv:1611.07004).

A generator turns an input into an output. A discriminator sees both and says whether the output belongs to the input.
The L1 distance teaches what the input determines, the discriminator what it leaves open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    spread,
)
from generative_core.nets import PatchDiscriminator, UNetGenerator
from generative_core.training.precision import autocast_where_fast


@dataclass(frozen=True)
class Pix2PixConfig:
    """Defaults are those of the paper; rates are Adam's at the start, betas for both optimizers."""

    adversarial: Adversarial = "non-saturating"
    lambda_l1: float = 100.0
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    # Run the networks under autocast where that is fast; losses stay in single precision.
    bfloat16: bool = False


class Pix2Pix(nn.Module):
    """A generator `(B, C, H, W) -> (B, D, H, W)`, a discriminator of both `(B, C + D, H, W)`, and the step that trains
    them. `generator` and `discriminator` build one network each."""

    # The last weights count, as in the paper: averaged ones would not fit the statistics of batch normalisation.
    ema_modules: tuple[str, ...] = ()

    def __init__(
        self,
        config: Pix2PixConfig | None = None,
        *,
        generator: Callable[[], nn.Module] = UNetGenerator,
        discriminator: Callable[[], nn.Module] = lambda: PatchDiscriminator(planes=6),
    ) -> None:
        super().__init__()
        self.config = config or Pix2PixConfig()
        self.generator, self.discriminator = generator(), discriminator()

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {
            "generator": torch.optim.Adam(self.generator.parameters(), config.generator_rate, config.betas, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), config.discriminator_rate, config.betas, fused=True
            ),
        }

    def translate(self, x: Tensor) -> Tensor:
        """Inputs `(B, C, H, W)` -> outputs `(B, D, H, W)`. After `train()` dropout makes every one different, as in
        the paper; after `eval()` there is one output to an input."""
        with self._autocast(x):
            return self.generator(x).float()

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on pairs `batch["a"]` `(B, C, H, W)` and `batch["b"]` `(B, D, H, W)`: discriminator, then
        generator."""
        config = self.config
        real_a, real_b = batch["a"], batch["b"]
        fake_b = self.translate(real_a)

        # Discriminator: tell the output that belongs to the input from the generated one.
        on_real, on_fake = self._outputs(real_a, real_b), self._outputs(real_a, fake_b.detach())
        # Halved in the paper, so that it learns more slowly than the generator; Adam cares little.
        discriminator = adversarial_discriminator_loss(config.adversarial, on_real, on_fake)
        optimizers["discriminator"].zero_grad(set_to_none=True)
        discriminator.backward()
        optimizers["discriminator"].step()

        # Generator: be taken for the output that belongs to the input, and be near it.
        self.discriminator.requires_grad_(False)
        reference = self._outputs(real_a, real_b) if config.adversarial == "relativistic" else None
        adversarial = adversarial_generator_loss(config.adversarial, self._outputs(real_a, fake_b), reference)
        l1 = F.l1_loss(fake_b, real_b)
        total = adversarial + config.lambda_l1 * l1
        optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        optimizers["generator"].step()
        self.discriminator.requires_grad_(True)

        threshold = decision_threshold(config.adversarial)
        right = ((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2
        losses = {
            "generator/adversarial": adversarial,
            "generator/l1": l1,
            "generator/total": total,
            "generator/spread": spread(fake_b) / spread(real_b),
            "discriminator/total": discriminator,
            "discriminator/accuracy": right,
        }
        return {name: value.detach() for name, value in losses.items()}

    def _outputs(self, a: Tensor, b: Tensor) -> Tensor:
        with self._autocast(a):
            return self.discriminator(torch.cat([a, b], dim=1)).float()

    def _autocast(self, x: Tensor) -> torch.autocast:
        return autocast_where_fast(x.device, wanted=self.config.bfloat16)
