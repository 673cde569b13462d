"""The CycleGAN in one piece, as it was before its objectives were taken out, for comparing losses step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.families.cyclegan import Direction, ImagePool, Weight, weight_at
from generative_core.losses import (
    Adversarial,
    adversarial_discriminator_loss,
    adversarial_generator_loss,
    decision_threshold,
    gradient_penalty,
    sliced_texture_distance,
    spread,
)
from generative_core.nets import PatchDiscriminator, ResNetGenerator
from generative_core.training.precision import autocast_where_fast


@dataclass(frozen=True)
class CycleGANConfig:
    """Defaults are those of the CycleGAN paper; rates are Adam's at the start, betas for both optimizers."""

    adversarial: Adversarial = "lsgan"
    lambda_cycle: Weight = 10.0
    lambda_identity: Weight = 5.0
    lambda_goal: Weight = 0.0  # become the goals that samples bring along, with `views`
    lambda_second_adversarial: float = 0.0  # judge A -> B -> A as well, by discriminators of its own
    lambda_classifier: float = 0.0  # be heard as the target by the domain classifier
    lambda_texture: Weight = 0.0  # have the fine details of the domain, `sliced_texture_distance`
    r1: float = 0.0
    r2: float = 0.0
    lambda_content: Weight = 0.0  # contain, to frozen recognisers, what the source contains
    content_tolerance: float = 0.0  # nats that may be heard otherwise at a position for nothing
    render_from: int | None = None  # from this step on critics judge what renderers make of samples
    views: bool = False  # each sample brings along what the generators read in its place, see `training_step`
    goal_steps: int = 0  # at first the generators learn from the goals alone, with a rate of its own
    goal_rate: float = 6e-4
    mask_fraction: float = 0.0  # hide up to this share of the last axis and let the generator fill it in
    pool_size: int = 50  # earlier fakes shown to the discriminators; 0 shows the newest only
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    max_gradient_norm: float = math.inf  # of all generators' and of all critics' parameters
    betas: tuple[float, float] = (0.5, 0.999)
    # Run the networks under autocast where that is fast; losses and penalties stay in single precision.
    bfloat16: bool = False


class CycleGAN(nn.Module):
    """Generators A -> B and B -> A, a discriminator for each domain, and the step that trains them.

    `generator`, `discriminator` and `classifier` build one network each. Generators get the planes of a sample, and
    behind them the mask with `mask_fraction`. The classifier gives two logits, "from A" and "from B". `recognisers`
    are frozen networks for samples of A and of B whose logits `(B, classes, ...)` say what a sample contains.
    `renderers`, frozen as well and differentiable, turn samples of A and of B into what is seen or heard of them in
    the end: from the step `render_from` on critics, the classifier, texture and recognisers judge that.
    """

    ema_modules = ("generator_ab", "generator_ba")

    def __init__(
        self,
        config: CycleGANConfig | None = None,
        *,
        generator: Callable[[], nn.Module] = ResNetGenerator,
        discriminator: Callable[[], nn.Module] = PatchDiscriminator,
        classifier: Callable[[], nn.Module] | None = None,
        recognisers: tuple[nn.Module, nn.Module] | None = None,
        renderers: tuple[nn.Module, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or CycleGANConfig()
        if config.lambda_classifier and classifier is None:
            raise ValueError("lambda_classifier is set, but no classifier was given")
        if config.lambda_content and recognisers is None:
            raise ValueError("lambda_content is set, but no recognisers were given")
        if (config.lambda_goal or config.goal_steps) and not config.views:
            raise ValueError("goals are asked for, but samples bring them along with views only")
        if config.render_from is not None and renderers is None:
            raise ValueError("render_from is set, but no renderers were given")
        if config.render_from is not None and config.lambda_second_adversarial:
            raise ValueError("the second adversarial loss judges samples as they are: it does not go with render_from")
        self.generator_ab, self.generator_ba = generator(), generator()
        self.discriminator_a, self.discriminator_b = discriminator(), discriminator()
        second = bool(config.lambda_second_adversarial)
        self.discriminator_a2 = discriminator() if second else None
        self.discriminator_b2 = discriminator() if second else None
        self.classifier = classifier() if classifier and config.lambda_classifier else None
        self.recognisers = nn.ModuleList(recognisers).requires_grad_(False).eval() if recognisers else None
        self.renderers = nn.ModuleList(renderers).requires_grad_(False).eval() if renderers else None
        self.pool_a, self.pool_b = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        parameters = [*self.generator_ab.parameters(), *self.generator_ba.parameters()]
        optimizers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(parameters, config.generator_rate, config.betas, fused=True),
            "discriminator": torch.optim.Adam(
                self._critics().parameters(), config.discriminator_rate, config.betas, fused=True
            ),
        }
        if config.goal_steps:
            optimizers["goal"] = torch.optim.Adam(parameters, config.goal_rate, config.betas, fused=True)
        return optimizers

    def translate(self, x: Tensor, direction: Direction, mask: Tensor | None = None) -> Tensor:
        """Samples of one domain `(B, C, H, W)` as the other would have them. `mask` (1 keeps, 0 hides) is all ones
        unless given, and matters only to a model trained with `mask_fraction`."""
        generator = self.generator_ab if direction == "ab" else self.generator_ba
        if self.config.mask_fraction:
            mask = torch.ones_like(x[:, :1]) if mask is None else mask
            x = torch.cat([x * mask, mask], dim=1)
        with self._autocast(x):
            return generator(x).float()

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on unpaired `batch["a"]` and `batch["b"]`, both `(B, C, H, W)`: generators, then discriminators.

        With `views` every sample is `(B, 4 * C, H, W)`: itself, the version of it that is translated (and that the
        cycle comes back to), an altered version of that, and a goal, what both should become, as far as anybody knows.
        They let a domain be prepared for the translation and begin with pairs that were made otherwise. The first
        `goal_steps` learn from these alone: critics then meet generators that already speak.
        """
        config = self.config
        real_a, source_a, altered_a, goal_a = self._views(batch["a"])
        real_b, source_b, altered_b, goal_b = self._views(batch["b"])
        if step < config.goal_steps:
            goal = self._reach(goal_a, altered_a, "ab") + self._reach(goal_b, altered_b, "ba")
            self._descend(optimizers["goal"], goal)
            return {"generator/goal": goal.detach()}
        lambda_cycle, lambda_identity = weight_at(config.lambda_cycle, step), weight_at(config.lambda_identity, step)
        lambda_texture, lambda_content = weight_at(config.lambda_texture, step), weight_at(config.lambda_content, step)
        lambda_goal = weight_at(config.lambda_goal, step)

        # Translate there and back again.
        fake_b = self.translate(source_a, "ab", self._random_mask(source_a))
        fake_a = self.translate(source_b, "ba", self._random_mask(source_b))
        cycle_a, cycle_b = self.translate(fake_b, "ba"), self.translate(fake_a, "ab")

        # Generators: come back to where they started, leave their own domain alone, fool the discriminators.
        cycle = F.l1_loss(cycle_a, source_a) + F.l1_loss(cycle_b, source_b)
        losses = {"generator/cycle": cycle}
        total = lambda_cycle * cycle
        if lambda_identity:
            identity = self._reach(real_a, real_a, "ba") + self._reach(real_b, real_b, "ab")
            losses["generator/identity"] = identity
            total = total + lambda_identity * identity
        if lambda_goal:
            goal = self._reach(goal_a, altered_a, "ab") + self._reach(goal_b, altered_b, "ba")
            losses["generator/goal"] = goal
            total = total + lambda_goal * goal
        if self.renderers is not None and config.render_from is not None and step >= config.render_from:
            render_a, render_b = self.renderers
            with torch.no_grad():
                real_a, real_b = render_a(real_a), render_b(real_b)
            fake_a, fake_b = render_a(fake_a), render_b(fake_b)
        self._critics().requires_grad_(False)
        adversarial = self._fool(self.discriminator_a, fake_a, real_a)
        adversarial = adversarial + self._fool(self.discriminator_b, fake_b, real_b)
        losses["generator/adversarial"] = adversarial
        total = total + adversarial
        if lambda_texture:
            texture = sliced_texture_distance(fake_a, real_a) + sliced_texture_distance(fake_b, real_b)
            losses["generator/texture"] = texture
            total = total + lambda_texture * texture
        if lambda_content:
            losses["generator/content"] = self._content_loss(real_a, fake_b, "ab")
            losses["generator/content"] += self._content_loss(real_b, fake_a, "ba")
            total = total + lambda_content * losses["generator/content"]
        if self.discriminator_a2 is not None and self.discriminator_b2 is not None:
            second = self._fool(self.discriminator_a2, cycle_a, real_a)
            second = second + self._fool(self.discriminator_b2, cycle_b, real_b)
            losses["generator/second_adversarial"] = second
            total = total + config.lambda_second_adversarial * second
        if self.classifier is not None:
            losses["generator/classifier"] = self._domain_loss(fake_a, "a") + self._domain_loss(fake_b, "b")
            total = total + config.lambda_classifier * losses["generator/classifier"]
        self._descend(optimizers["generator"], total)

        # Discriminators: tell real samples from generated ones, newest and older; the classifier hears the source.
        self._critics().requires_grad_(True)
        shown_a, shown_b = self.pool_a(fake_a.detach()), self.pool_b(fake_b.detach())
        logs_a, loss_a = self._judge(self.discriminator_a, real_a, shown_a)
        logs_b, loss_b = self._judge(self.discriminator_b, real_b, shown_b)
        critics = loss_a + loss_b
        if self.discriminator_a2 is not None and self.discriminator_b2 is not None:
            critics = critics + self._judge(self.discriminator_a2, real_a, cycle_a)[1]
            critics = critics + self._judge(self.discriminator_b2, real_b, cycle_b)[1]
        if self.classifier is not None:
            losses["classifier/real"] = self._domain_loss(real_a, "a") + self._domain_loss(real_b, "b")
            losses["classifier/source"] = self._domain_loss(fake_a.detach(), "b") + self._domain_loss(
                fake_b.detach(), "a"
            )
            critics = critics + losses["classifier/real"] + losses["classifier/source"]
        self._descend(optimizers["discriminator"], critics)

        losses["generator/total"], losses["discriminator/total"] = total, critics
        losses |= {f"discriminator/{key}_a": value for key, value in logs_a.items()}
        losses |= {f"discriminator/{key}_b": value for key, value in logs_b.items()}
        losses["generator/spread_a"] = spread(fake_a) / spread(real_a)
        losses["generator/spread_b"] = spread(fake_b) / spread(real_b)
        return {name: value.detach() for name, value in losses.items()}

    def _critics(self) -> nn.ModuleList:
        critics = [self.discriminator_a, self.discriminator_b, self.discriminator_a2, self.discriminator_b2]
        return nn.ModuleList(critic for critic in [*critics, self.classifier] if critic is not None)

    def _views(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch from the loader -> the samples, what is translated, that altered, and what both should become."""
        if not self.config.views:
            return samples, samples, samples, samples
        real, source, altered, goal = samples.chunk(4, dim=1)
        return real, source, altered, goal

    def _reach(self, goal: Tensor, x: Tensor, direction: Direction) -> Tensor:
        """Distance of what `x` becomes in the translation from what it should become."""
        return F.l1_loss(self.translate(x, direction), goal)

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(self.config.max_gradient_norm):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.config.max_gradient_norm)
        optimizer.step()

    def _autocast(self, x: Tensor) -> torch.autocast:
        return autocast_where_fast(x.device, wanted=self.config.bfloat16)

    def _output(self, critic: nn.Module, x: Tensor) -> Tensor:
        with self._autocast(x):
            return critic(x).float()

    def _random_mask(self, x: Tensor) -> Tensor | None:
        """For every sample a stretch of the last axis, up to `mask_fraction` long, set to zero (MaskCycleGAN-VC)."""
        if not self.config.mask_fraction:
            return None
        batch, _, _, width = x.shape
        length = (torch.rand(batch, 1) * self.config.mask_fraction * width).floor()
        start = (torch.rand(batch, 1) * (width - length + 1)).floor()
        position = torch.arange(width)
        hidden = (position >= start) & (position < start + length)
        return (~hidden).to(x)[:, None, None, :].expand_as(x[:, :1])

    def _fool(self, discriminator: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
        kind = self.config.adversarial
        return adversarial_generator_loss(
            kind,
            self._output(discriminator, fake),
            self._output(discriminator, real) if kind == "relativistic" else None,
        )

    def _judge(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The discriminator's loss with its penalties, and how often it was right."""
        config = self.config
        real = real.detach().requires_grad_(config.r1 > 0)
        fake = fake.detach().requires_grad_(config.r2 > 0)
        on_real, on_fake = self._output(discriminator, real), self._output(discriminator, fake)
        loss = adversarial_discriminator_loss(config.adversarial, on_real, on_fake)
        threshold = decision_threshold(config.adversarial)
        right = ((on_real > threshold).float().mean() + (on_fake < threshold).float().mean()) / 2
        logs = {"loss": loss, "accuracy": right}
        if config.r1:
            loss = loss + config.r1 * gradient_penalty(on_real, real)
        if config.r2:
            loss = loss + config.r2 * gradient_penalty(on_fake, fake)
        return logs, loss

    def _content_loss(self, real: Tensor, fake: Tensor, direction: Direction) -> Tensor:
        """Kullback-Leibler divergence of what is recognised in the translation from what is in the source, in nats,
        as far as it exceeds the tolerance: how sure a recogniser is depends on who speaks, too."""
        assert self.recognisers is not None
        own, other = self.recognisers if direction == "ab" else reversed(self.recognisers)
        with self._autocast(real), torch.no_grad():
            expected = own(real).float().log_softmax(1)
        with self._autocast(fake):
            heard = other(fake).float().log_softmax(1)
        divergence = F.kl_div(heard, expected, reduction="none", log_target=True).sum(1)
        return F.relu(divergence - self.config.content_tolerance).mean()

    def _domain_loss(self, x: Tensor, domain: Literal["a", "b"]) -> Tensor:
        assert self.classifier is not None
        labels = torch.full((x.shape[0],), int(domain == "b"), device=x.device)
        return F.cross_entropy(self._output(self.classifier, x), labels)
