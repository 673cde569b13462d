"""Trains a classifier that samples rare positives more often: DB-VAE (Amini et al. 2019, "Uncovering and Mitigating
Algorithmic Bias through Learned Latent Structure").

The classifier tells positive samples (faces) from negative ones. Its encoder also learns the latent structure of the
positives, as a VAE. Positives in sparse regions of the latent space are then drawn more often, without group labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from generative_core.families.vae import VAE, VAEConfig, kl_to_standard_normal, reparameterise


@dataclass(frozen=True)
class DebiasingVAEConfig(VAEConfig):
    """`lambda_vae` weighs the negative ELBO, which is summed over a sample, against the cross-entropy in nats; zero is
    a plain classifier."""

    lambda_vae: float = 1e-3


def debiasing_loss(
    logits: Tensor, labels: Tensor, reconstruction: Tensor, kl: Tensor, *, beta: float, lambda_vae: float
) -> Tensor:
    """Classification counts for every sample, the VAE for the positive ones only; the mean over the batch.

    `logits`, `labels` (1 is positive), `reconstruction` = log p(x | z) and `kl` are all `(B,)`. This is the paper's
    `L_y + 1[y = 1] L_VAE`: the classification loss is not switched off for positives, nor for negatives.
    """
    classification = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (classification + lambda_vae * labels * (beta * kl - reconstruction)).mean()


def resampling_weights(mu: Tensor, alpha: float, bins: int = 10) -> Tensor:
    """How often each of N samples should be drawn, `(N, latent)` means -> `(N,)` adding up to one, on the CPU.

    Inverse to the product over latent dimensions of `density + alpha`, the density being a histogram's: the smaller
    alpha, the more what is rare is preferred, and a very large one leaves all alike.
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    log_weights = np.zeros(len(mu))
    for column in mu.detach().cpu().double().numpy().T:
        density, edges = np.histogram(column, bins=bins, density=True)
        log_weights -= np.log(density[np.digitize(column, edges[1:-1])] + alpha)
    return torch.from_numpy(log_weights).softmax(0)


class DebiasingVAE(VAE):
    """`encoder` takes samples `(B, ...)` to `(B, 1 + 2 latent)`: the logit of being positive, then means and
    log-variances of the latents; everything else is as in `VAE`."""

    config: DebiasingVAEConfig

    def classify(self, x: Tensor) -> Tensor:
        """Logits of being positive, `(B,)`."""
        return self.encoder(x)[:, 0]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x)[:, 1:].chunk(2, dim=1)
        return mu, logvar

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on samples `batch["x"]`, `(B, ...)`, and labels `batch["y"]`, `(B,)`, 1 for positive."""
        x, labels, config = self.observe(batch["x"]), batch["y"].float(), self.config
        outputs = self.encoder(x)
        logits, (mu, logvar) = outputs[:, 0], outputs[:, 1:].chunk(2, dim=1)
        reconstruction = self.log_likelihood(x, reparameterise(mu, logvar))
        kl = kl_to_standard_normal(mu, logvar).sum(1)
        loss = debiasing_loss(logits, labels, reconstruction, kl, beta=config.beta, lambda_vae=config.lambda_vae)
        optimizers["vae"].zero_grad(set_to_none=True)
        loss.backward()
        optimizers["vae"].step()
        right = ((logits > 0) == (labels > 0.5)).float().mean()
        return {
            "vae/total": loss.detach(),
            "vae/reconstruction": reconstruction.detach().mean(),
            "vae/kl": kl.detach().mean(),
            "classifier/right": right.detach(),
        }
