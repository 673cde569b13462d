"""Trains a CycleGAN: translation between two domains without pairs (Zhu et al. 2017, arXiv:1703.10593).

The same class translates images `(B, C, H, W)` and mel-spectrograms `(B, 1, n_mels, frames)`: only the networks
handed to it differ. What a use adds to the paper's losses is an `Objective`, handed in as well; `objectives.py` has
some. `cyclegan_variants.py` has CycleGANs that fill in masked frames or begin with pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    gradient_penalty,
    spread,
)
from generative_core.nets import PatchDiscriminator, ResNetGenerator
from generative_core.training.precision import autocast_where_fast

Weight = float | tuple[tuple[int, float], ...]
"""A loss weight: a constant, or `((step, value), ...)` points joined by straight lines."""

Direction = Literal["ab", "ba"]


@dataclass(frozen=True)
class CycleGANConfig:
    """Defaults are those of the CycleGAN paper; rates are Adam's at the start, betas for both optimizers."""

    adversarial: Adversarial = "lsgan"
    lambda_cycle: Weight = 10.0
    lambda_identity: Weight = 5.0
    r1: float = 0.0  # weight of the gradient penalty on real samples
    r2: float = 0.0  # and of that on generated ones
    pool_size: int = 50  # earlier fakes shown to the discriminators; 0 shows the newest only
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    max_gradient_norm: float = math.inf  # of all generators' and of all discriminators' parameters
    betas: tuple[float, float] = (0.5, 0.999)
    # Run the networks under autocast where that is fast; losses and penalties stay in single precision.
    bfloat16: bool = False


def weight_at(weight: Weight, step: int) -> float:
    """The value of a loss weight at a step; before the first and after the last point it stays level."""
    if isinstance(weight, int | float):
        return float(weight)
    (left, value), *rest = weight
    for right, after in rest:
        if step < right:
            return value if step <= left else value + (after - value) * (step - left) / (right - left)
        left, value = right, after
    return value


@dataclass(frozen=True)
class Domain:
    """One of the two domains in one training step; all tensors are `(B, C, H, W)`."""

    real: Tensor
    source: Tensor  # what is translated, and what the cycle comes back to: `real` unless the loader says otherwise
    fake: Tensor  # translated from the other domain
    cycle: Tensor  # `source` translated there and back again
    extra: Mapping[str, Tensor]  # what else the loader brings along


class Objective(nn.Module):
    """A loss that is added to those of the paper, with its weight.

    One that trains a network against the generators hands it over as `discriminator` and defines `discriminator_loss`.
    The model trains that network together with its own discriminators. At steps of weight 0 both losses are left out.
    """

    def __init__(self, name: str, weight: Weight, discriminator: nn.Module | None = None) -> None:
        super().__init__()
        self.name, self.weight, self.discriminator = name, weight, discriminator

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        """The generators' loss, a scalar, which is logged as `generator/<name>`."""
        raise NotImplementedError

    def discriminator_loss(self, model: CycleGAN, a: Domain, b: Domain) -> dict[str, Tensor]:
        """The losses of `discriminator`, scalars by the names under which they are logged."""
        return {}


class ImagePool(nn.Module):
    """The last `size` generated samples; a query swaps half of a batch with them at random (Shrivastava et al. 2017).

    A module, so that its content is saved and restored with the model.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.samples: list[Tensor] = []

    def forward(self, fakes: Tensor) -> Tensor:
        """`(B, ...)` newest fakes -> `(B, ...)` with some replaced by older ones; uses torch's random state."""
        if self.size == 0:
            return fakes
        shown = []
        for fake in fakes.detach():
            if len(self.samples) < self.size:
                self.samples.append(fake.clone())
                shown.append(fake)
            elif torch.rand(()) < 0.5:
                index = int(torch.randint(self.size, ()))
                shown.append(self.samples[index].to(fake.device))  # a resumed pool starts on the CPU
                self.samples[index] = fake.clone()
            else:
                shown.append(fake)
        return torch.stack(shown)

    def get_extra_state(self) -> dict[str, list[Tensor]]:
        return {"samples": self.samples}

    def set_extra_state(self, state: dict[str, list[Tensor]]) -> None:
        self.samples = list(state["samples"])


class CycleGAN(nn.Module):
    """Generators A -> B and B -> A, a discriminator for each domain, and the step that trains them.

    `generator` and `discriminator` build one network each. `render(a, b, step)` may change the `real` and the `fake`
    samples of both domains before discriminators and objectives see them, differentiably for the fakes.
    """

    ema_modules = ("generator_ab", "generator_ba")

    def __init__(
        self,
        config: CycleGANConfig | None = None,
        *,
        generator: Callable[[], nn.Module] = ResNetGenerator,
        discriminator: Callable[[], nn.Module] = PatchDiscriminator,
        objectives: Sequence[Objective] = (),
        render: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or CycleGANConfig()
        self.generator_ab, self.generator_ba = generator(), generator()
        self.discriminator_a, self.discriminator_b = discriminator(), discriminator()
        self.objectives = nn.ModuleList(objectives)
        self.render = render
        self.pool_a, self.pool_b = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {
            "generator": torch.optim.Adam(
                [*self.generator_ab.parameters(), *self.generator_ba.parameters()],
                config.generator_rate,
                config.betas,
                fused=True,
            ),
            "discriminator": torch.optim.Adam(
                self.discriminators().parameters(), config.discriminator_rate, config.betas, fused=True
            ),
        }

    def translate(self, x: Tensor, direction: Direction) -> Tensor:
        """Samples of one domain `(B, C, H, W)` as the other would have them."""
        return self.run(self.generator_ab if direction == "ab" else self.generator_ba, x)

    def translate_source(self, x: Tensor, direction: Direction) -> Tensor:
        """The first half of a cycle in training, which variants make harder."""
        return self.translate(x, direction)

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on unpaired `batch["a"]` and `batch["b"]`, both `(B, C, H, W)`: generators, then discriminators.

        Generators read `source_a` and `source_b` instead if the batch has them: samples may be prepared for the
        translation. Whatever else is called `<name>_a` or `<name>_b` is for the objectives, in `Domain.extra`.
        """
        real_a, real_b = batch["a"], batch["b"]
        source_a, source_b = batch.get("source_a", real_a), batch.get("source_b", real_b)
        objectives = [(o, weight) for o in self._objectives() if (weight := weight_at(o.weight, step))]

        # Translate there and back again.
        fake_b, fake_a = self.translate_source(source_a, "ab"), self.translate_source(source_b, "ba")
        cycle_a, cycle_b = self.translate(fake_b, "ba"), self.translate(fake_a, "ab")
        a = Domain(real_a, source_a, fake_a, cycle_a, _extra(batch, "a"))
        b = Domain(real_b, source_b, fake_b, cycle_b, _extra(batch, "b"))

        # Generators: come back to where they started, leave their own domain alone, fool the discriminators.
        losses = {"generator/cycle": F.l1_loss(cycle_a, source_a) + F.l1_loss(cycle_b, source_b)}
        total = weight_at(self.config.lambda_cycle, step) * losses["generator/cycle"]
        if lambda_identity := weight_at(self.config.lambda_identity, step):
            same_a, same_b = self.translate(real_a, "ba"), self.translate(real_b, "ab")
            losses["generator/identity"] = F.l1_loss(same_a, real_a) + F.l1_loss(same_b, real_b)
            total = total + lambda_identity * losses["generator/identity"]
        if self.render is not None:
            a, b = self.render(a, b, step)
        self.discriminators().requires_grad_(False)
        adversarial = self.adversarial_loss(self.discriminator_a, a.real, a.fake)
        losses["generator/adversarial"] = adversarial + self.adversarial_loss(self.discriminator_b, b.real, b.fake)
        total = total + losses["generator/adversarial"]
        for objective, weight in objectives:
            losses[f"generator/{objective.name}"] = loss = objective(self, a, b)
            total = total + weight * loss
        self.descend(optimizers["generator"], total)

        # Discriminators: tell real samples from generated ones, newest and older.
        self.discriminators().requires_grad_(True)
        logs_a, loss_a = self.discriminator_loss(self.discriminator_a, a.real, self.pool_a(a.fake.detach()))
        logs_b, loss_b = self.discriminator_loss(self.discriminator_b, b.real, self.pool_b(b.fake.detach()))
        added = {name: loss for o, _ in objectives for name, loss in o.discriminator_loss(self, a, b).items()}
        discriminators = sum(added.values(), start=loss_a + loss_b)
        self.descend(optimizers["discriminator"], discriminators)

        losses |= added | {"generator/total": total, "discriminator/total": discriminators}
        for domain, x, logs in (("a", a, logs_a), ("b", b, logs_b)):
            losses |= {f"discriminator/{name}_{domain}": value for name, value in logs.items()}
            losses[f"generator/spread_{domain}"] = spread(x.fake) / spread(x.real)
        return {name: value.detach() for name, value in losses.items()}

    def _objectives(self) -> list[Objective]:
        return cast(list[Objective], list(self.objectives))  # a ModuleList does not say of what

    def discriminators(self) -> nn.ModuleList:
        """All networks that are trained against the generators."""
        added = [objective.discriminator for objective in self._objectives() if objective.discriminator is not None]
        return nn.ModuleList([self.discriminator_a, self.discriminator_b, *added])

    def run(self, network: nn.Module, x: Tensor) -> Tensor:
        """What a network makes of `x`, in single precision, under autocast if the settings ask for it."""
        with autocast_where_fast(x.device, wanted=self.config.bfloat16):
            return network(x).float()

    def adversarial_loss(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """How far the generated samples are from fooling a discriminator."""
        kind = self.config.adversarial
        on_fake = self.run(discriminator, fake)
        on_real = self.run(discriminator, real) if kind == "relativistic" else None
        return adversarial_generator_loss(kind, on_fake, on_real)

    def discriminator_loss(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Logs, the loss before penalties and how often the discriminator was right; and the loss with penalties."""
        config = self.config
        real = real.detach().requires_grad_(config.r1 > 0)
        fake = fake.detach().requires_grad_(config.r2 > 0)
        on_real, on_fake = self.run(discriminator, real), self.run(discriminator, fake)
        loss = adversarial_discriminator_loss(config.adversarial, on_real, on_fake)
        threshold = decision_threshold(config.adversarial)
        right = ((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2
        logs = {"loss": loss, "accuracy": right}
        if config.r1:
            loss = loss + config.r1 * gradient_penalty(on_real, real)
        if config.r2:
            loss = loss + config.r2 * gradient_penalty(on_fake, fake)
        return logs, loss

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """One optimizer step down the gradient of a loss, which is clipped first."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(self.config.max_gradient_norm):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.config.max_gradient_norm)
        optimizer.step()


def _extra(batch: Mapping[str, Tensor], domain: Literal["a", "b"]) -> dict[str, Tensor]:
    """What a batch holds of a domain besides its samples, `{"target": batch["target_a"], ...}`."""
    suffix = f"_{domain}"
    return {name.removesuffix(suffix): x for name, x in batch.items() if name.endswith(suffix)}
