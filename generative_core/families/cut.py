"""Trains CUT and FastCUT: translation without pairs, in one direction (Park et al. 2020, arXiv:2007.15651).

There is no second generator that translates back. Instead, a patch of the translation has to be recognised, among the
patches of the source, as the one from the same place. The generator's own encoder gives the features of a patch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    patch_nce_loss,
    spread,
)
from generative_core.nets import PatchDiscriminator, ResNetGenerator


@dataclass(frozen=True)
class CUTConfig:
    """Defaults are CUT's; FastCUT is `identity=False` with `lambda_nce=10`. Rates are Adam's at the start."""

    adversarial: Adversarial = "lsgan"
    lambda_nce: float = 1.0
    identity: bool = True  # contrast what the generator makes of B, which is to stay as it is, with B too
    patches: int = 256  # of every picture and every layer
    projection: int = 256  # numbers by which a patch is known
    temperature: float = 0.07
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class CUT(nn.Module):
    """A generator A -> B, a discriminator of B, small networks that project patches, and the step that trains them."""

    ema_modules = ("generator",)

    def __init__(
        self,
        config: CUTConfig | None = None,
        *,
        generator: Callable[[], ResNetGenerator] = ResNetGenerator,
        discriminator: Callable[[], nn.Module] = PatchDiscriminator,
    ) -> None:
        super().__init__()
        self.config = config = config or CUTConfig()
        self.generator, self.discriminator = generator(), discriminator()
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, config.projection), nn.ReLU(), nn.Linear(config.projection, config.projection)
            )
            for width in self.generator.feature_channels
        )

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {
            "generator": torch.optim.Adam(
                [*self.generator.parameters(), *self.projections.parameters()],
                config.generator_rate,
                config.betas,
                fused=True,
            ),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), config.discriminator_rate, config.betas, fused=True
            ),
        }

    def translate(self, x: Tensor) -> Tensor:
        """Samples of A `(B, C, H, W)` as B would have them."""
        return self.generator(x)

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on unpaired `batch["a"]` and `batch["b"]`, both `(B, C, H, W)`: discriminator, then generator."""
        config = self.config
        real_a, real_b = batch["a"], batch["b"]
        sources = torch.cat([real_a, real_b]) if config.identity else real_a
        outputs = self.translate(sources)
        fake_b = outputs[: len(real_a)]

        # Discriminator: tell real samples of B from translations.
        on_real, on_fake = self.discriminator(real_b), self.discriminator(fake_b.detach())
        discriminator = adversarial_discriminator_loss(config.adversarial, on_real, on_fake)
        optimizers["discriminator"].zero_grad(set_to_none=True)
        discriminator.backward()
        optimizers["discriminator"].step()

        # Generator: be taken for B, and keep every patch recognisable.
        self.discriminator.requires_grad_(False)
        reference = self.discriminator(real_b) if config.adversarial == "relativistic" else None
        adversarial = adversarial_generator_loss(config.adversarial, self.discriminator(fake_b), reference)
        nce = self._contrast(outputs, sources)
        total = adversarial + config.lambda_nce * nce
        optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        optimizers["generator"].step()
        self.discriminator.requires_grad_(True)

        threshold = decision_threshold(config.adversarial)
        right = ((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2
        losses = {
            "generator/adversarial": adversarial,
            "generator/nce": nce,
            "generator/total": total,
            "generator/spread": spread(fake_b) / spread(real_b),
            "discriminator/total": discriminator,
            "discriminator/accuracy": right,
        }
        return {name: value.detach() for name, value in losses.items()}

    def _contrast(self, outputs: Tensor, sources: Tensor) -> Tensor:
        """The contrastive loss of patches at the same random places, the mean over layers and pictures."""
        with torch.no_grad():  # it is the translation that has to resemble the source
            keys = self.generator.features(sources)
        losses = []
        for query, key, project in zip(self.generator.features(outputs), keys, self.projections, strict=True):
            places = torch.randperm(query.shape[2] * query.shape[3], device=query.device)[: self.config.patches]
            query, key = (project(x.flatten(2)[:, :, places].transpose(1, 2)) for x in (query, key))
            losses.append(patch_nce_loss(query, key, self.config.temperature))
        return torch.stack(losses).mean()
