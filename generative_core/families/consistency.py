"""Distils a diffusion model into a student of few steps: consistency distillation (Song et al. 2023, arXiv:2303.01469).

The teacher's ODE leads every noisy sample to one clean sample. The student learns to go there at once, by agreeing with
itself: its output for a noisy sample has to be its output for the sample that the teacher's next step leads to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative_core.families.diffusion import Diffusion, DiffusionConfig
from generative_core.samplers import ddim
from generative_core.training.parallel import own_share

Teacher = Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class ConsistencyConfig:
    """`diffusion` is the teacher's config, and so the student's."""

    diffusion: DiffusionConfig
    steps: int = 24  # of the teacher from noise to sample
    huber: float = 0.03  # differences above it, times the root of a sample's size, count in proportion, not squared
    rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.99)


class ConsistencyStudent(nn.Module):
    """A diffusion model whose estimates become samples, and the step that makes them so.

    `student` begins as a copy of the teacher, of which `teacher(x, sigma, condition)` gives estimates from noisy
    samples `(B, ...)` at levels `(B,)`, with whatever guidance the student is to learn along.
    """

    ema_modules = ("student.network",)

    def __init__(self, config: ConsistencyConfig, student: Diffusion, teacher: Teacher) -> None:
        super().__init__()
        self.config = config
        self.student = student
        self.teacher = teacher

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"student": torch.optim.Adam(self.student.parameters(), self.config.rate, self.config.betas)}

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on samples `batch["x"]` and their conditions: agree from one of the teacher's levels to the next."""
        x_0, student = batch["x"], self.student
        condition = {name: batch[name] for name in student.conditions}
        count, device = len(x_0), x_0.device
        sigmas = student.formulation.sampling_sigmas(self.config.steps).to(device)
        place = own_share(lambda n: torch.randint(self.config.steps, (n,), device=device), count)
        eps = own_share(lambda n: torch.randn(n, *x_0.shape[1:], device=device), count)
        sigma, next_sigma = sigmas[place], sigmas[place + 1]
        x = student.add_noise(x_0, sigma, eps)

        with torch.no_grad():
            later = self._teacher_step(x, sigma, next_sigma, condition)
            # At the end the sample itself; a level of zero is nothing that a network is asked about.
            target = student.denoise(later, next_sigma.clamp(min=float(sigmas[-2]) / 2), condition)
            ended = (next_sigma == 0).view(-1, *[1] * (x.ndim - 1))
            target = torch.where(ended, later, target)
        difference = (student.denoise(x, sigma, condition) - target).flatten(1)
        huber = self.config.huber * difference.shape[1] ** 0.5
        loss = ((difference.square().sum(1) + huber**2).sqrt() - huber).mean()
        optimizers["student"].zero_grad(set_to_none=True)
        loss.backward()
        optimizers["student"].step()
        return {"student/total": loss.detach()}

    def sample(self, count: int, condition: dict[str, Tensor] | None = None, *, steps: int = 2) -> Tensor:
        """New samples `(count, *shape)` in one to about four steps."""
        return self.student.sample(count, condition, steps=steps, sampler="consistency")

    def _teacher_step(self, x: Tensor, sigma: Tensor, next_sigma: Tensor, condition: dict[str, Tensor]) -> Tensor:
        alpha = self.student.formulation.alpha
        shape = (2, -1, *[1] * (x.ndim - 1))
        levels = torch.stack([sigma, next_sigma])
        return ddim(lambda x, _: self.teacher(x, sigma, condition), x, levels.view(shape), alpha(levels).view(shape))
