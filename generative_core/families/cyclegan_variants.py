"""Trains CycleGANs that differ from the paper's in one point: masked frames to fill in, or a warm-up on pairs.

`Rendering` shows discriminators and objectives what a frozen network makes of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.families.cyclegan import CycleGAN, CycleGANConfig, Direction, Domain


@dataclass(frozen=True)
class MaskCycleGANConfig(CycleGANConfig):
    """`mask_fraction` is the largest share of the last axis that is hidden."""

    mask_fraction: float = 0.5


class MaskCycleGAN(CycleGAN):
    """Fills in frames that are hidden from it (MaskCycleGAN-VC, Kaneko et al. 2021, arXiv:2102.12841).

    Generators get the planes of a sample and behind them the mask, which is 1 where the sample is kept.
    """

    config: MaskCycleGANConfig

    def translate(self, x: Tensor, direction: Direction, mask: Tensor | None = None) -> Tensor:
        """Samples of one domain `(B, C, H, W)` as the other would have them; `mask` `(B, 1, H, W)` hides nothing unless
        given."""
        mask = torch.ones_like(x[:, :1]) if mask is None else mask
        return super().translate(torch.cat([x * mask, mask], dim=1), direction)

    def translate_source(self, x: Tensor, direction: Direction) -> Tensor:
        return self.translate(x, direction, self.random_mask(x))

    def random_mask(self, x: Tensor) -> Tensor:
        """`(B, 1, H, W)`: for every sample a stretch of the last axis, up to `mask_fraction` long, is zero."""
        batch, _, _, width = x.shape
        length = (torch.rand(batch, 1) * self.config.mask_fraction * width).floor()
        start = (torch.rand(batch, 1) * (width - length + 1)).floor()
        position = torch.arange(width)
        hidden = (position >= start) & (position < start + length)
        return (~hidden).to(x)[:, None, None, :].expand_as(x[:, :1])


@dataclass(frozen=True)
class WarmUpCycleGANConfig(CycleGANConfig):
    """For the first `warm_up_steps` the generators learn from pairs alone, at a rate of their own."""

    warm_up_steps: int = 1000
    warm_up_rate: float = 6e-4


class WarmUpCycleGAN(CycleGAN):
    """Begins by learning from pairs, so that discriminators meet generators that already translate.

    Batches hold the pairs `altered_a`, `target_a` and `altered_b`, `target_b`, as for the objective `PseudoTargets`.
    """

    config: WarmUpCycleGANConfig

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        parameters = [*self.generator_ab.parameters(), *self.generator_ba.parameters()]
        warm_up = torch.optim.Adam(parameters, self.config.warm_up_rate, self.config.betas, fused=True)
        return {**super().configure_optimizers(), "warm_up": warm_up}

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """As that of `CycleGAN`; before it the L1 distance from the targets."""
        if step >= self.config.warm_up_steps:
            return super().training_step(batch, optimizers, step)
        loss = F.l1_loss(self.translate(batch["altered_a"], "ab"), batch["target_a"])
        loss = loss + F.l1_loss(self.translate(batch["altered_b"], "ba"), batch["target_b"])
        self.descend(optimizers["warm_up"], loss)
        return {"generator/pseudo_target": loss.detach()}


class Rendering(nn.Module):
    """From a step on, discriminators and objectives see what frozen networks make of samples of A and of B, which
    must be differentiable: a vocoder, for example."""

    def __init__(self, render_a: nn.Module, render_b: nn.Module, *, start: int = 0) -> None:
        super().__init__()
        self.networks = nn.ModuleList([render_a, render_b]).requires_grad_(False).eval()
        self.start = start

    def forward(self, a: Domain, b: Domain, step: int) -> tuple[Domain, Domain]:
        if step < self.start:
            return a, b
        render_a, render_b = self.networks
        with torch.no_grad():
            real_a, real_b = render_a(a.real), render_b(b.real)
        return replace(a, real=real_a, fake=render_a(a.fake)), replace(b, real=real_b, fake=render_b(b.fake))
