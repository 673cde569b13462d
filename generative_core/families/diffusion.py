"""Trains diffusion models: rectified flow (Liu et al. 2022, arXiv:2209.03003; Lipman et al. 2022, arXiv:2210.02747)
and EDM (Karras et al. 2022, arXiv:2206.00364), on one network.

A sample is mixed with noise, `x = alpha x_0 + sigma eps`, and the network learns to undo that at every level `sigma`.
A class, a text or a picture may say what to draw. The conditions of some training samples are dropped, so that the same
network also learns the unconditional distribution, and sampling can exaggerate the difference (classifier-free
guidance, Ho & Salimans 2022, arXiv:2207.12598).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.samplers import SAMPLERS
from generative_core.saved import load_model
from generative_core.training.parallel import own_share

Condition = Mapping[str, Tensor]
"""What to draw: classes `y` `(B,)`, texts `tokens` `(B, L)`, pictures `image` `(B, planes, H, W)`, as the model has."""


@dataclass(frozen=True)
class DiffusionConfig:
    """Samples are about in [-1, 1]; `sigma_data`, their deviation, matters to EDM only."""

    shape: tuple[int, ...]  # of a sample, without the batch
    formulation: Literal["rectified flow", "edm"] = "rectified flow"
    classes: int = 0  # batches carry classes as "y"
    text: bool = False  # batches carry texts as "tokens", zero where there is none
    image_planes: int = 0  # batches carry pictures of so many planes as "image"
    condition_dropout: float = 0.1  # share of the training samples that are drawn without any condition
    sigma_data: float = 0.5
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)


class Scalings(NamedTuple):
    """The estimate of `x_0` is `skip x + out F(inp x, level)`, where F is the network; each like `sigma`."""

    skip: Tensor
    out: Tensor
    inp: Tensor
    level: Tensor


class Formulation(Protocol):
    """How noisy samples are mixed, which of them are trained on, and what the network has to do with the estimate."""

    def alpha(self, sigma: Tensor) -> Tensor: ...
    def scalings(self, sigma: Tensor) -> Scalings: ...
    def training_sigmas(self, normal: Tensor) -> Tensor:
        """Levels to train on from standard normal numbers, `(B,)` -> `(B,)`."""
        ...

    def sampling_sigmas(self, steps: int) -> Tensor:
        """`(steps + 1,)` falling levels, the last one zero."""
        ...


class RectifiedFlow:
    """Straight lines from noise at `sigma = 1` to samples at 0; the network learns their direction, `eps - x_0`.
    Middle levels, where that is hardest, are trained on most (Esser et al. 2024, arXiv:2403.03206)."""

    def alpha(self, sigma: Tensor) -> Tensor:
        return 1 - sigma

    def scalings(self, sigma: Tensor) -> Scalings:
        one = torch.ones_like(sigma)
        return Scalings(skip=one, out=-sigma, inp=one, level=sigma)

    def training_sigmas(self, normal: Tensor) -> Tensor:
        return normal.sigmoid()

    def sampling_sigmas(self, steps: int) -> Tensor:
        return torch.linspace(1, 0, steps + 1)


class EDM:
    """Noise is added at up to 80 times a sample's range, and the network's input and target are brought to unit
    variance at every level (table 1 of the paper)."""

    smallest, largest, rho = 0.002, 80.0, 7.0

    def __init__(self, sigma_data: float) -> None:
        self.sigma_data = sigma_data

    def alpha(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)

    def scalings(self, sigma: Tensor) -> Scalings:
        total = (sigma.square() + self.sigma_data**2).sqrt()
        return Scalings(
            skip=self.sigma_data**2 / total.square(),
            out=sigma * self.sigma_data / total,
            inp=1 / total,
            level=sigma.log() / 4,
        )

    def training_sigmas(self, normal: Tensor) -> Tensor:
        return (1.2 * normal - 1.2).exp()

    def sampling_sigmas(self, steps: int) -> Tensor:
        roots = torch.linspace(self.largest ** (1 / self.rho), self.smallest ** (1 / self.rho), steps)
        return torch.cat([roots**self.rho, torch.zeros(1)])


class Diffusion(nn.Module):
    """A denoising network, the step that trains it, and how samples are drawn with it.

    `network(x, level, **condition)` takes noisy samples `(B, ...)`, a number for each one's noise level, `(B,)`, and
    the conditions that the config names; it gives samples' shape. `DiffusionUNet` is one.
    """

    ema_modules = ("network",)

    def __init__(self, config: DiffusionConfig, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.formulation: Formulation = EDM(config.sigma_data) if config.formulation == "edm" else RectifiedFlow()
        needed = {"y": config.classes, "tokens": config.text, "image": config.image_planes}
        self.conditions = tuple(name for name, count in needed.items() if count)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> Diffusion:
        """Trained weights by name or from a file or folder, to draw samples with. Raises `UserError`."""
        return load_model(name_or_path, "Diffusion", DiffusionConfig, lambda config, networks: cls(config, **networks))

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"diffusion": torch.optim.Adam(self.network.parameters(), self.config.rate, self.config.betas)}

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on samples `batch["x"]` `(B, *shape)` and their conditions: undo noise at a level of each one's."""
        x_0 = batch["x"]
        count, device = len(x_0), x_0.device
        sigma = self.formulation.training_sigmas(own_share(lambda n: torch.randn(n, device=device), count))
        dropped = own_share(lambda n: torch.rand(n, device=device), count) < self.config.condition_dropout
        condition = self._drop({name: batch[name] for name in self.conditions}, dropped)
        x = self.add_noise(x_0, sigma, own_share(lambda n: torch.randn(n, *x_0.shape[1:], device=device), count))

        # What the network has to say for the estimate to be right; both formulations make it of unit size.
        scalings = self.formulation.scalings(_like(sigma, x))
        target = (x_0 - scalings.skip * x) / scalings.out
        loss = (self._output(x, sigma, condition) - target).square().mean()
        optimizers["diffusion"].zero_grad(set_to_none=True)
        loss.backward()
        optimizers["diffusion"].step()
        return {"diffusion/total": loss.detach()}

    def add_noise(self, x_0: Tensor, sigma: Tensor, eps: Tensor) -> Tensor:
        """Samples `(B, ...)` at noise levels `(B,)` with the noise `eps`, of the samples' shape."""
        sigma = _like(sigma, x_0)
        return self.formulation.alpha(sigma) * x_0 + sigma * eps

    def denoise(self, x: Tensor, sigma: Tensor, condition: Condition | None = None) -> Tensor:
        """The estimate of the samples, `(B, ...)`, from noisy ones at the levels `(B,)`, without guidance."""
        scalings = self.formulation.scalings(_like(sigma, x))
        condition = self._checked(condition, x)
        return scalings.skip * x + scalings.out * self._output(x, sigma, condition)

    def guided(
        self,
        x: Tensor,
        sigma: Tensor,
        condition: Condition | None = None,
        *,
        guidance: float = 1.0,
        interval: tuple[float, float] = (0.0, math.inf),
        negative: Condition | None = None,
    ) -> Tensor:
        """The estimate from noisy samples `(B, ...)` at levels `(B,)`, or one `()`, moved away from what `negative`, or
        no condition, makes of them: 1 is none of that, 0 is the negative alone.

        Guidance outside of an `interval` of levels does harm or nothing (Kynkäänniemi et al. 2024, arXiv:2404.07724);
        there it is left out.
        """
        levels = sigma.expand(len(x))
        inside = (levels >= interval[0]) & (levels <= interval[1])
        if guidance == 1 or not inside.any():
            return self.denoise(x, levels, condition)
        # Both in one batch, which costs less than one after the other.
        positive, away = self._checked(condition, x), self._checked(negative, x)
        both = {name: torch.cat(_same_length(positive[name], away[name])) for name in positive}
        wanted, unwanted = self.denoise(torch.cat([x, x]), torch.cat([levels, levels]), both).chunk(2)
        return torch.where(_like(inside, x), unwanted + guidance * (wanted - unwanted), wanted)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        condition: Condition | None = None,
        *,
        steps: int = 20,
        sampler: str = "dpm-solver++",
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] = (0.0, math.inf),
        negative: Condition | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """New samples `(count, *shape)`, of what the condition says, in so many steps of a sampler of `SAMPLERS`.

        `noise`, `(count, ...)`, is standard normal and decides what is drawn; it may have another size than the
        training samples. For guidance see `guided`. Raises ValueError for a condition the model was not trained with.
        """
        if sampler not in SAMPLERS:
            raise ValueError(f"a sampler is one of {', '.join(SAMPLERS)}, not {sampler!r}")
        device = next(self.parameters()).device
        x = torch.randn(count, *self.config.shape, device=device) if noise is None else noise.to(device)
        condition = self._checked(condition, x)
        negative = None if guidance == 1 else self._checked(negative, x)
        sigmas = self.formulation.sampling_sigmas(steps).to(device)

        def estimate(x: Tensor, sigma: Tensor) -> Tensor:
            return self.guided(x, sigma, condition, guidance=guidance, interval=guidance_interval, negative=negative)

        training = self.training
        self.eval()
        x = SAMPLERS[sampler](estimate, x * sigmas[0], sigmas, self.formulation.alpha(sigmas))
        self.train(training)
        return x

    def _output(self, x: Tensor, sigma: Tensor, condition: dict[str, Tensor]) -> Tensor:
        scalings = self.formulation.scalings(sigma)
        return self.network(_like(scalings.inp, x) * x, scalings.level, **condition).float()

    def _checked(self, condition: Condition | None, x: Tensor) -> dict[str, Tensor]:
        """The condition where the samples `x` are; what stands for none if there is none."""
        count = len(x)
        if condition is None:
            if self.conditions and not self.config.condition_dropout:
                raise ValueError(
                    f"this model never drew without its condition ({', '.join(self.conditions)}): pass it, and leave "
                    "guidance at 1"
                )
            nothing = {
                "y": torch.full((count,), self.config.classes, device=x.device),
                "tokens": torch.zeros(count, 1, dtype=torch.long, device=x.device),
                "image": x.new_zeros(count, self.config.image_planes, *x.shape[2:]),
            }
            return {name: nothing[name] for name in self.conditions}
        if set(condition) != set(self.conditions):
            trained, given = (", ".join(names) or "no condition" for names in (self.conditions, condition))
            raise ValueError(f"this model was trained with {trained} and cannot be asked for {given}")
        for name, value in condition.items():
            if len(value) != count:
                raise ValueError(f"{count} samples need as many of the condition {name}, got {len(value)}")
        return {name: condition[name].to(x.device) for name in self.conditions}

    def _drop(self, condition: dict[str, Tensor], dropped: Tensor) -> dict[str, Tensor]:
        """The conditions with some, `(B,)`, replaced by what stands for none."""
        none = {"y": self.config.classes, "tokens": 0, "image": 0.0}
        return {name: torch.where(_like(dropped, value), none[name], value) for name, value in condition.items()}


def _like(numbers: Tensor, x: Tensor) -> Tensor:
    """A number for each of a batch, `(B,)`, shaped to be multiplied with the batch; a single one stays as it is."""
    return numbers.view(-1, *[1] * (x.ndim - 1)) if numbers.ndim else numbers


def _same_length(*values: Tensor) -> list[Tensor]:
    """Texts `(B, L)` filled up with zeros to the longest of them; other conditions as they are."""
    if values[0].ndim != 2:
        return list(values)
    longest = max(value.shape[1] for value in values)
    return [F.pad(value, (0, longest - value.shape[1])) for value in values]
