"""Samples from diffusion models, from noise along falling noise levels; each sampler is named for its algorithm.

A noisy sample at level `sigma` is `x = alpha x_0 + sigma eps` with `eps` of the standard normal distribution. All share
one signature: `denoise(x, sigma)` estimates `x_0`, `(B, ...)`, at one level; `x`, `(B, ...)`, is at the first level;
`sigmas`, `(N + 1,)`, fall to the last one, usually zero; `alphas`, `(N + 1,)`, belong to them. Rectified flow has
`alpha = 1 - sigma`, EDM `alpha = 1`, and variance-preserving diffusion `alpha = sqrt(1 - sigma^2)`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
Sampler = Callable[[Denoise, Tensor, Tensor, Tensor], Tensor]


def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, alphas: Tensor) -> Tensor:
    """Euler's method on the probability-flow ODE in the time `sigma`, exact in `alpha` where that is linear in it, as
    in rectified flow (Liu et al. 2022, arXiv:2209.03003) and EDM. One evaluation a step, first order."""
    for (sigma, alpha), (next_sigma, next_alpha) in pairwise(zip(sigmas, alphas, strict=True)):
        x = x + _change(x, denoise(x, sigma), sigma, alpha, next_sigma - sigma, next_alpha - alpha)
    return x


def heun(denoise: Denoise, x: Tensor, sigmas: Tensor, alphas: Tensor) -> Tensor:
    """Heun's method on the same ODE (Karras et al. 2022, arXiv:2206.00364, algorithm 1): every step of Euler's is
    corrected by the slope at its end, but for one that ends without noise. Two evaluations a step, second order."""
    for (sigma, alpha), (next_sigma, next_alpha) in pairwise(zip(sigmas, alphas, strict=True)):
        by_sigma, by_alpha = next_sigma - sigma, next_alpha - alpha
        change = _change(x, denoise(x, sigma), sigma, alpha, by_sigma, by_alpha)
        if next_sigma > 0:
            end = x + change
            change = (change + _change(end, denoise(end, next_sigma), next_sigma, next_alpha, by_sigma, by_alpha)) / 2
        x = x + change
    return x


def ddim(denoise: Denoise, x: Tensor, sigmas: Tensor, alphas: Tensor, *, eta: float = 0.0) -> Tensor:
    """DDIM (Song et al. 2020, arXiv:2010.02502): the estimated sample with the estimated noise at the next level. With
    `eta` a part of that noise is drawn anew (1 is ancestral sampling, DDPM). One evaluation a step, first order."""
    for (sigma, alpha), (next_sigma, next_alpha) in pairwise(zip(sigmas, alphas, strict=True)):
        x_0 = denoise(x, sigma)
        eps = (x - alpha * x_0) / sigma
        # Equation 16 with sigma^2 for 1 - alpha^2, in a form that holds on every path.
        ratio = next_sigma * alpha / (sigma * next_alpha)
        fresh = eta * next_sigma * (1 - ratio.square()).clamp(min=0).sqrt()
        x = next_alpha * x_0 + (next_sigma.square() - fresh.square()).sqrt() * eps
        if eta:
            x = x + fresh * torch.randn_like(x)
    return x


def dpm_solver_pp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, alphas: Tensor) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2): the estimate of the step before gives its slope
    in `lambda = log(alpha / sigma)`. The first step, and one that ends without noise, are of first order. One
    evaluation a step, second order."""
    lambdas = (alphas / sigmas).log()
    before: tuple[Tensor, Tensor] | None = None
    for i in range(len(sigmas) - 1):
        x_0 = denoise(x, sigmas[i])
        width = lambdas[i + 1] - lambdas[i]
        estimate = x_0
        if before is not None and sigmas[i + 1] > 0:
            estimate = x_0 + width / (2 * before[1]) * (x_0 - before[0])
        x = sigmas[i + 1] / sigmas[i] * x - alphas[i + 1] * torch.expm1(-width) * estimate
        before = x_0, width
    return x


def consistency(denoise: Denoise, x: Tensor, sigmas: Tensor, alphas: Tensor) -> Tensor:
    """Multistep consistency sampling (Song et al. 2023, arXiv:2303.01469, algorithm 1), for models whose estimate is a
    sample already: the estimate with fresh noise at the next level, again and again."""
    for i, sigma in enumerate(sigmas[:-1]):
        next_sigma, next_alpha = sigmas[i + 1], alphas[i + 1]
        x = next_alpha * denoise(x, sigma)
        if next_sigma > 0:
            x = x + next_sigma * torch.randn_like(x)
    return x


SAMPLERS: dict[str, Sampler] = {
    "euler": euler,
    "heun": heun,
    "ddim": ddim,
    "dpm-solver++": dpm_solver_pp_2m,
    "consistency": consistency,
}
"""Every sampler by the name that options give it."""


def _change(x: Tensor, x_0: Tensor, sigma: Tensor, alpha: Tensor, by_sigma: Tensor, by_alpha: Tensor) -> Tensor:
    """What the slope at `x` adds to it while `sigma` and `alpha` change by so much."""
    return by_alpha * x_0 + by_sigma * (x - alpha * x_0) / sigma
