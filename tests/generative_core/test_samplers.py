"""Samplers against a normal distribution, whose every noisy version is known, and against another library's."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from generative_core.samplers import Denoise, Sampler, consistency, ddim, dpm_solver_pp_2m, euler, heun

MEAN, DEVIATION = 2.0, 0.5


def rectified(steps: int, last: float) -> tuple[Tensor, Tensor]:
    sigmas = torch.linspace(0.9, last, steps + 1, dtype=torch.float64)
    return sigmas, 1 - sigmas


def edm(steps: int, last: float) -> tuple[Tensor, Tensor]:
    sigmas = torch.linspace(5 ** (1 / 7), last ** (1 / 7), steps + 1, dtype=torch.float64) ** 7
    return sigmas, torch.ones_like(sigmas)


def variance_preserving(steps: int, last: float) -> tuple[Tensor, Tensor]:
    angles = torch.linspace(math.asin(0.95), math.asin(last), steps + 1, dtype=torch.float64)
    return angles.sin(), angles.cos()


PATHS = {"rectified flow": rectified, "edm": edm, "variance-preserving": variance_preserving}


def expected(x: Tensor, sigma: Tensor, alpha: Tensor) -> Tensor:
    """The mean of x_0 given x, where x_0 is normal."""
    variance = DEVIATION**2
    return MEAN + alpha * variance / (alpha**2 * variance + sigma**2) * (x - alpha * MEAN)


def denoiser(sigmas: Tensor, alphas: Tensor) -> Denoise:
    return lambda x, sigma: expected(x, sigma, alphas[int((sigmas == sigma).nonzero()[0])])


def solution(x: Tensor, sigmas: Tensor, alphas: Tensor) -> Tensor:
    """Where the ODE takes x: along the probability flow, a point keeps its place in units of the deviation."""
    deviations = (alphas**2 * DEVIATION**2 + sigmas**2).sqrt()
    return alphas[-1] * MEAN + deviations[-1] / deviations[0] * (x - alphas[0] * MEAN)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize(
    ("sampler", "order"),
    [(euler, 1), (ddim, 1), (heun, 2), (dpm_solver_pp_2m, 2)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_order_of_convergence(
    sampler: Sampler, order: int, path: Callable[[int, float], tuple[Tensor, Tensor]]
) -> None:
    x = torch.tensor([-1.0, 0.3, 4.0], dtype=torch.float64)
    errors = []
    for steps in (32, 64, 128):
        sigmas, alphas = path(steps, 0.05)
        end = sampler(denoiser(sigmas, alphas), x, sigmas, alphas)
        errors.append(float((end - solution(x, sigmas, alphas)).abs().max()))
    assert errors[-1] < 0.04
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("sampler", [euler, ddim, heun, dpm_solver_pp_2m], ids=lambda sampler: sampler.__name__)
def test_from_pure_noise_to_the_distribution(sampler: Sampler) -> None:
    sigmas = torch.linspace(1, 0, 101, dtype=torch.float64)
    alphas = 1 - sigmas
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.01, 0.99, 99, dtype=torch.float64))
    end = sampler(denoiser(sigmas, alphas), quantiles, sigmas, alphas)
    assert torch.allclose(end, MEAN + DEVIATION * quantiles, atol=0.03)


def test_fresh_noise_keeps_the_distribution() -> None:
    torch.manual_seed(0)
    sigmas, alphas = variance_preserving(200, 1e-3)
    x = alphas[0] * (MEAN + DEVIATION * torch.randn(20_000, dtype=torch.float64))
    x = x + sigmas[0] * torch.randn_like(x)
    end = ddim(denoiser(sigmas, alphas), x, sigmas, alphas, eta=1.0)
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(end.std()) == pytest.approx(DEVIATION, abs=0.02)
    assert abs(float(torch.corrcoef(torch.stack([end, x]))[0, 1])) < 0.3, "the noise is new"


def test_euler_and_ddim_take_the_same_steps_where_alpha_is_linear() -> None:
    x = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for path in (rectified, edm):
        sigmas, alphas = path(7, 0.1)
        denoise = denoiser(sigmas, alphas)
        assert torch.allclose(euler(denoise, x, sigmas, alphas), ddim(denoise, x, sigmas, alphas))


def test_heun_by_hand() -> None:
    """One step of EDM from 2 to 1 with the estimate x / 2: slopes 1 / 2 at 4, and at 4 - 2 / 2 = 3 again 3 / 2."""
    sigmas, alphas = torch.tensor([2.0, 1.0]), torch.ones(2)
    end = heun(lambda x, sigma: x / 2, torch.tensor([4.0]), sigmas, alphas)
    assert end.item() == pytest.approx(4 - ((4 - 2) / 2 + (3 - 1.5) / 1) / 2)


def test_consistency_returns_to_the_estimate() -> None:
    torch.manual_seed(0)
    seen: list[tuple[float, Tensor]] = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((float(sigma), x))
        return torch.full_like(x, 3.0)

    sigmas = torch.tensor([1.0, 0.5, 0.0])
    end = consistency(denoise, torch.randn(10_000), sigmas, 1 - sigmas)
    assert [sigma for sigma, _ in seen] == [1.0, 0.5]
    assert float(seen[1][1].mean()) == pytest.approx(1.5, abs=0.02)
    assert float(seen[1][1].std()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(end, torch.full((10_000,), 3.0))


def test_ddim_and_dpm_solver_agree_with_diffusers() -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    options = {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 1e-4, "beta_end": 0.02}
    theirs = DDIMScheduler(
        **options, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="sample"
    )
    theirs.set_timesteps(20)
    levels = torch.cat([theirs.timesteps, torch.tensor([0])])
    squares = theirs.alphas_cumprod.double()[levels]
    sigmas, alphas = (1 - squares).sqrt(), squares.sqrt()
    estimate = denoiser(sigmas, alphas)
    sample = x
    for index, timestep in enumerate(theirs.timesteps):
        sample = theirs.step(estimate(sample, sigmas[index]), timestep, sample).prev_sample
    assert torch.allclose(sample, ddim(estimate, x, sigmas, alphas), atol=1e-5)

    theirs = DPMSolverMultistepScheduler(**options, prediction_type="sample", lower_order_final=False)
    theirs.set_timesteps(20)
    scale = theirs.sigmas.double()  # sigma / alpha
    alphas = (1 + scale.square()).rsqrt()
    sigmas = scale * alphas
    estimate = denoiser(sigmas, alphas)
    sample = x
    for index, timestep in enumerate(theirs.timesteps):
        sample = theirs.step(estimate(sample, sigmas[index]), timestep, sample).prev_sample
    assert torch.allclose(sample, dpm_solver_pp_2m(estimate, x, sigmas, alphas), atol=1e-5)


def test_euler_agrees_with_diffusers() -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.set_timesteps(20)
    sigmas = theirs.sigmas.double()
    alphas = 1 - sigmas
    estimate = denoiser(sigmas, alphas)
    sample = x
    for index, timestep in enumerate(theirs.timesteps):
        velocity = (sample - estimate(sample, sigmas[index])) / sigmas[index]  # eps - x_0 on this path
        sample = theirs.step(velocity, timestep, sample).prev_sample
    assert torch.allclose(sample, euler(estimate, x, sigmas, alphas), atol=1e-5)
