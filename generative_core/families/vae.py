"""Trains variational autoencoders (Kingma & Welling 2014, arXiv:1312.6114), and beta-VAE (Higgins et al. 2017).

`q(z | x)` and the prior `p(z)` are normal; `p(x | z)` is Bernoulli for every pixel or normal with a fixed deviation.
Densities are in nats and summed over a sample, so that they can be compared with published ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.saved import load_model
from generative_core.training.parallel import own_share

Likelihood = Literal["bernoulli", "gaussian"]


@dataclass(frozen=True)
class VAEConfig:
    """With `bernoulli`, samples are in [0, 1] and taken for probabilities, from which every training step draws black
    and white pixels anew (as in Burda et al. 2016)."""

    latent: int = 10
    likelihood: Likelihood = "bernoulli"
    sigma: float = 0.1  # deviation of the Gaussian likelihood, in the samples' unit
    beta: float = 1.0  # weight of the KL divergence; 1 is the ELBO
    rate: float = 1e-3


class ELBO(NamedTuple):
    """The evidence lower bound in nats, which is `reconstruction - kl.sum(1)`, in its two parts."""

    reconstruction: Tensor  # log p(x | z) for one z drawn from q(z | x), `(B,)`
    kl: Tensor  # KL(q(z | x) || p(z)) of every latent dimension, `(B, latent)`


def reparameterise(mu: Tensor, logvar: Tensor) -> Tensor:
    """A draw from the normal distribution of this mean and log-variance that lets gradients through to both."""
    return mu + (logvar / 2).exp() * own_share(lambda n: torch.randn(n, *mu.shape[1:], device=mu.device), len(mu))


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of `N(mu, exp(logvar))` from `N(0, 1)` in nats, element by element."""
    return (mu.square() + logvar.exp() - 1 - logvar) / 2


def normal_log_density(x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(x; mean, exp(logvar)) in nats, element by element."""
    return -((x - mean).square() / logvar.exp() + logvar + math.log(2 * math.pi)) / 2


class VAE(nn.Module):
    """`encoder` takes samples `(B, ...)` to `(B, 2 latent)`, the means and then the log-variances of `q(z | x)`;
    `decoder` takes `z`, `(B, latent)`, to the mean of `p(x | z)`, as logits if the likelihood is Bernoulli's."""

    ema_modules: tuple[str, ...] = ()
    config: VAEConfig

    def __init__(self, config: VAEConfig | None = None, *, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.config = config or VAEConfig()
        self.encoder, self.decoder = encoder, decoder

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> VAE:
        """Trained weights by name or from a file or folder, to be used only. Raises `UserError`."""
        return load_model(name_or_path, "VAE", VAEConfig, lambda config, networks: cls(config, **networks))

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"vae": torch.optim.Adam(self.parameters(), self.config.rate)}

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of `q(z | x)`, each `(B, latent)`."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor) -> Tensor:
        """Samples `(B, ...)` -> the means of their latents `(B, latent)`."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Latents `(B, latent)` -> the mean of `p(x | z)`, `(B, ...)`."""
        x = self.decoder(z)
        return x.sigmoid() if self.config.likelihood == "bernoulli" else x

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """`(count, ...)` decoded from the prior."""
        return self.decode(torch.randn(count, self.config.latent, device=next(self.parameters()).device))

    def observe(self, x: Tensor) -> Tensor:
        """What the likelihood is of: black and white pixels drawn from their probabilities, or samples as they are."""
        return torch.bernoulli(x) if self.config.likelihood == "bernoulli" else x

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in nats, `(B,)`."""
        mean = self.decoder(z)
        if self.config.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(mean, x, reduction="none").flatten(1).sum(1)
        logvar = torch.tensor(2 * math.log(self.config.sigma), device=x.device)
        return normal_log_density(x, mean, logvar).flatten(1).sum(1)

    def elbo(self, x: Tensor) -> ELBO:
        """Both parts for samples `(B, ...)` as `observe` gives them."""
        mu, logvar = self.posterior(x)
        return ELBO(self.log_likelihood(x, reparameterise(mu, logvar)), kl_to_standard_normal(mu, logvar))

    @torch.no_grad()
    def importance_weighted_log_likelihood(self, x: Tensor, samples: int) -> Tensor:
        """A lower bound of log p(x) in nats, `(B,)`, that rises to it with the number of samples (Burda et al. 2016,
        arXiv:1509.00519): the log of the mean of `p(x | z) p(z) / q(z | x)` over draws of z."""
        mu, logvar = self.posterior(x)
        zero = torch.zeros((), device=x.device)
        weights = []
        for _ in range(samples):
            z = reparameterise(mu, logvar)
            prior, proposal = normal_log_density(z, zero, zero).sum(1), normal_log_density(z, mu, logvar).sum(1)
            weights.append(self.log_likelihood(x, z) + prior - proposal)
        return torch.stack(weights).logsumexp(0) - math.log(samples)

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on samples `batch["x"]`, `(B, ...)`: the ELBO upwards."""
        elbo = self.elbo(self.observe(batch["x"]))
        reconstruction, kl = elbo.reconstruction.mean(), elbo.kl.sum(1).mean()
        loss = self.config.beta * kl - reconstruction
        optimizers["vae"].zero_grad(set_to_none=True)
        loss.backward()
        optimizers["vae"].step()
        return {
            "vae/total": loss.detach(),
            "vae/elbo": (reconstruction - kl).detach(),
            "vae/reconstruction": reconstruction.detach(),
            "vae/kl": kl.detach(),
        }
