"""Trains pix2pix: translation learned from pairs (Isola et al. 2017, arXiv:1611.07004).

A generator turns an input into an output. A discriminator sees both and says whether the output belongs to the input.
The L1 distance teaches what the input determines, the discriminator what it leaves open. Beyond the paper, the
generator may be averaged, and be asked to give the discriminator's features of the real output (feature matching, Wang
et al. 2018, arXiv:1711.11585).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    relative_distance,
    spread,
)
from generative_core.nets import PatchDiscriminator, UNetGenerator
from generative_core.saved import load_model
from generative_core.training.precision import autocast_where_fast


@dataclass(frozen=True)
class Pix2PixConfig:
    """Defaults are those of the paper; rates are Adam's at the start, betas for both optimizers."""

    adversarial: Adversarial = "non-saturating"
    lambda_l1: float = 100.0
    lambda_features: float = 0.0  # mean over the discriminator's layers, relative to the size of the features
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    averaged: bool = False  # use averaged weights; they do not fit the statistics of batch normalisation
    # Run the networks under autocast where that is fast; losses stay in single precision.
    bfloat16: bool = False


class Pix2Pix(nn.Module):
    """A generator `(B, C, H, W) -> (B, D, H, W)`, a discriminator of both `(B, C + D, H, W)`, and the step that trains
    them. `generator` and `discriminator` build one network each; for feature matching the discriminator has the method
    `with_features` of `PatchDiscriminator`."""

    def __init__(
        self,
        config: Pix2PixConfig | None = None,
        *,
        generator: Callable[[], nn.Module] = UNetGenerator,
        discriminator: Callable[[], nn.Module] = lambda: PatchDiscriminator(planes=6),
    ) -> None:
        super().__init__()
        self.config = config or Pix2PixConfig()
        self.ema_modules = ("generator",) if self.config.averaged else ()
        self.generator, self.discriminator = generator(), discriminator()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> Pix2Pix:
        """Trained weights by name or from a file or folder, to translate with. Raises `UserError`."""

        def build(config: Pix2PixConfig, networks: dict[str, nn.Module]) -> Pix2Pix:
            return cls(config, generator=lambda: networks["generator"], discriminator=nn.Identity)

        return load_model(name_or_path, "Pix2Pix", Pix2PixConfig, build)

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
        terms = self._generator_terms(real_a, real_b, fake_b)
        total = terms["adversarial"] + config.lambda_l1 * terms["l1"]
        if config.lambda_features:
            total = total + config.lambda_features * terms["features"]
        optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        optimizers["generator"].step()

        threshold = decision_threshold(config.adversarial)
        right = ((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2
        losses = {
            **{f"generator/{name}": value for name, value in terms.items()},
            "generator/total": total,
            "generator/spread": spread(fake_b) / spread(real_b),
            "discriminator/total": discriminator,
            "discriminator/accuracy": right,
        }
        return {name: value.detach() for name, value in losses.items()}

    def _generator_terms(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """By name, without weights."""
        config = self.config
        self.discriminator.requires_grad_(False)  # its gradients of these losses would be computed for nothing
        reference, matching = None, {}
        if config.adversarial == "relativistic":
            reference = self._outputs(real_a, real_b)
        if config.lambda_features:
            with torch.no_grad():
                _, wanted = self._with_features(real_a, real_b)
            on_fake, features = self._with_features(real_a, fake_b)
            matching["features"] = relative_distance(features, wanted)
        else:
            on_fake = self._outputs(real_a, fake_b)
        self.discriminator.requires_grad_(True)
        adversarial = adversarial_generator_loss(config.adversarial, on_fake, reference)
        return {"adversarial": adversarial, "l1": F.l1_loss(fake_b, real_b), **matching}

    def _with_features(self, a: Tensor, b: Tensor) -> tuple[Tensor, list[Tensor]]:
        with self._autocast(a):
            outputs, features = self.discriminator.with_features(torch.cat([a, b], dim=1))  # type: ignore[operator]
        return outputs.float(), features

    def _outputs(self, a: Tensor, b: Tensor) -> Tensor:
        with self._autocast(a):
            return self.discriminator(torch.cat([a, b], dim=1)).float()

    def _autocast(self, x: Tensor) -> torch.autocast:
        return autocast_where_fast(x.device, wanted=self.config.bfloat16)
