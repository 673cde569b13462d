"""Autoencoder, VAE and DB-VAE against closed forms and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from generative_core import VAE, Autoencoder, AutoencoderConfig, VAEConfig, interpolate, traverse
from generative_core.families.autoencoder import corrupt
from generative_core.families.debiasing_vae import debiasing_loss, resampling_weights
from generative_core.families.vae import kl_to_standard_normal, normal_log_density, reparameterise
from generative_core.nets import ConvDecoder, ConvEncoder


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_kl_and_density_are_those_of_torch_distributions() -> None:
    mu, logvar, x = torch.randn(3, 4, 5, dtype=torch.float64)
    normal = Normal(mu, (logvar / 2).exp())
    assert torch.allclose(kl_to_standard_normal(mu, logvar), kl_divergence(normal, Normal(0.0, 1.0)))
    assert torch.allclose(normal_log_density(x, mu, logvar), normal.log_prob(x))


def test_reparameterised_draws_have_the_moments_and_the_gradients() -> None:
    mu, logvar = torch.tensor([1.5], requires_grad=True), torch.tensor([math.log(4.0)], requires_grad=True)
    z = reparameterise(mu.expand(200_000), logvar.expand(200_000))
    assert float(z.detach().mean()) == pytest.approx(1.5, abs=0.03)
    assert float(z.detach().std()) == pytest.approx(2.0, abs=0.03)
    # E[z^2] = mu^2 + sigma^2, so its derivatives are 2 mu and, by the log-variance, sigma^2.
    z.square().mean().backward()
    assert float(mu.grad) == pytest.approx(3.0, abs=0.05)
    assert float(logvar.grad) == pytest.approx(4.0, abs=0.1)


def linear_gaussian(sigma: float) -> tuple[VAE, MultivariateNormal]:
    """A VAE with p(x|z) = N(W z + b, sigma^2) and a proposal that is good but not exact, and its known evidence."""
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 3)
    model = VAE(VAEConfig(latent=2, likelihood="gaussian", sigma=sigma), encoder=encoder, decoder=decoder).double()
    with torch.no_grad():
        weight, bias = decoder.weight, decoder.bias
        covariance = torch.linalg.inv(torch.eye(2) + weight.T @ weight / sigma**2)
        encoder.weight[:2] = covariance @ weight.T / sigma**2
        encoder.bias[:2] = -encoder.weight[:2] @ bias
        encoder.weight[2:] = 0
        encoder.bias[2:] = covariance.diagonal().log() + 0.3
        evidence = MultivariateNormal(bias.clone(), weight @ weight.T + sigma**2 * torch.eye(3))
    return model, evidence


def test_importance_weighting_finds_the_evidence_of_a_linear_gaussian_model() -> None:
    model, evidence = linear_gaussian(sigma=0.7)
    x = evidence.sample((20,))
    truth = evidence.log_prob(x)
    bounds = {k: model.importance_weighted_log_likelihood(x, k) for k in (1, 1000)}
    assert torch.allclose(bounds[1000], truth, atol=0.08)
    elbo = torch.stack([(e := model.elbo(x)).reconstruction - e.kl.sum(1) for _ in range(200)]).mean(0)
    assert bool((elbo < truth).all())
    assert float((truth - bounds[1]).mean()) > float((truth - bounds[1000]).mean())


def test_elbo_of_bernoulli_pixels_by_hand() -> None:
    model = VAE(VAEConfig(latent=1), encoder=nn.Linear(2, 2), decoder=nn.Linear(1, 2))
    with torch.no_grad():
        for layer in (model.encoder, model.decoder):
            layer.weight.zero_()
        model.encoder.bias.copy_(torch.tensor([1.0, 0.0]))
        model.decoder.bias.copy_(torch.tensor([0.0, math.log(3.0)]))  # probabilities 1/2 and 3/4
    elbo = model.elbo(torch.tensor([[1.0, 0.0]]))
    assert float(elbo.reconstruction) == pytest.approx(math.log(0.5) + math.log(0.25))
    assert elbo.kl.tolist() == [[0.5]]
    assert model.decode(torch.zeros(1, 1)).tolist() == [pytest.approx([0.5, 0.75])]
    pixels = model.observe(torch.full((4000, 2), 0.3))
    assert set(pixels.unique().tolist()) == {0.0, 1.0}
    assert float(pixels.mean()) == pytest.approx(float(Bernoulli(0.3).mean), abs=0.03)


def test_beta_weighs_the_divergence_in_the_training_loss() -> None:
    losses = {}
    for beta in (1.0, 4.0):
        torch.manual_seed(1)
        config = VAEConfig(latent=2, likelihood="gaussian", beta=beta)
        model = VAE(config, encoder=nn.Linear(3, 4), decoder=nn.Linear(2, 3))
        losses[beta] = model.training_step({"x": torch.ones(2, 3)}, model.configure_optimizers(), 0)
    assert losses[1.0]["vae/kl"] == losses[4.0]["vae/kl"]
    difference = losses[4.0]["vae/total"] - losses[1.0]["vae/total"]
    assert float(difference) == pytest.approx(3 * float(losses[1.0]["vae/kl"]), rel=1e-4)


def test_an_autoencoder_samples_where_its_codes_were() -> None:
    model = Autoencoder(AutoencoderConfig(latent=2, rate=0.0), encoder=nn.Identity(), decoder=nn.Linear(2, 2))
    nn.init.eye_(model.decoder.weight)
    nn.init.zeros_(model.decoder.bias)
    codes = MultivariateNormal(torch.tensor([3.0, -1.0]), torch.tensor([[2.0, 1.2], [1.2, 1.0]]))
    optimizers = model.configure_optimizers()
    for step in range(200):
        model.training_step({"x": codes.sample((256,))}, optimizers, step)
    samples = model.sample(20_000)
    assert torch.allclose(samples.mean(0), codes.mean, atol=0.1)
    assert torch.allclose(samples.T.cov(), codes.covariance_matrix, atol=0.15)


def test_corruption_does_what_its_level_says() -> None:
    x = torch.full((8, 3, 32, 32), 0.5)
    assert float((corrupt(x, "gaussian", 0.2) - x).std()) == pytest.approx(0.2, abs=0.01)
    peppered = corrupt(x, "salt-and-pepper", 0.3)
    assert set(peppered.unique().tolist()) == {0.0, 0.5, 1.0}
    assert float((peppered == 0).float().mean()) == pytest.approx(0.15, abs=0.02)
    assert float((peppered == 1).float().mean()) == pytest.approx(0.15, abs=0.02)
    assert torch.equal(peppered[:, 0], peppered[:, 2])
    with pytest.raises(ValueError, match="salt-and-pepper"):
        corrupt(x, "poisson", 0.1)  # type: ignore[arg-type]


def test_interpolation_and_traversal() -> None:
    start, end = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[4.0, 8.0], [1.0, 1.0]])
    line = interpolate(lambda z: z, start, end, 5)
    assert line.shape == (2, 5, 2)
    assert line[0].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]
    moved = traverse(lambda z: z, start, 1, torch.tensor([-1.0, 2.0, 5.0]))
    assert moved[1].tolist() == [[1, -1], [1, 2], [1, 5]]
    assert start.tolist() == [[0, 0], [1, 1]]


def test_networks_refuse_images_that_they_cannot_halve() -> None:
    with pytest.raises(ValueError, match="6x8 cannot be halved 2 times"):
        ConvEncoder(shape=(1, 6, 8), outputs=2)
    with pytest.raises(ValueError, match="multiples of 8"):
        ConvDecoder(shape=(1, 28, 28), latent=2, layers=3)


def test_debiasing_loss_by_hand() -> None:
    """A positive counts with both losses, a negative with the classification alone."""
    logits, labels = torch.tensor([0.0, math.log(3.0)]), torch.tensor([1.0, 0.0])
    reconstruction, kl = torch.tensor([-10.0, -1000.0]), torch.tensor([2.0, 1000.0])
    loss = debiasing_loss(logits, labels, reconstruction, kl, beta=3.0, lambda_vae=0.5)
    positive = math.log(2) + 0.5 * (3.0 * 2.0 + 10.0)
    negative = math.log(4)  # -log(1 - 3/4)
    assert float(loss) == pytest.approx((positive + negative) / 2)


def test_resampling_weights_by_hand() -> None:
    """Four codes in the first of two bins and one in the second: densities 0.8 / 0.5 and 0.2 / 0.5 on [0, 1]."""
    mu = torch.tensor([[0.0], [0.1], [0.2], [0.3], [1.0]])
    common, rare = 1 / (1.6 + 0.1), 1 / (0.4 + 0.1)
    expected = torch.tensor([common] * 4 + [rare], dtype=torch.float64)
    assert torch.allclose(resampling_weights(mu, alpha=0.1, bins=2), expected / expected.sum())
    # Two dimensions multiply.
    expected = expected.square()
    assert torch.allclose(resampling_weights(mu.repeat(1, 2), alpha=0.1, bins=2), expected / expected.sum())
    assert torch.allclose(resampling_weights(mu, alpha=1e9), torch.full((5,), 0.2, dtype=torch.float64))
    with pytest.raises(ValueError, match="above 0"):
        resampling_weights(mu, alpha=0.0)


def test_resampling_prefers_the_rare_more_for_smaller_alpha() -> None:
    mu = torch.cat([torch.randn(200, 3), torch.randn(10, 3) + 6])
    shares = [float(resampling_weights(mu, alpha)[200:].sum()) for alpha in (10.0, 0.1, 0.001)]
    assert 10 / 210 < shares[0] < shares[1] < shares[2]
    assert np.isfinite(shares).all()
