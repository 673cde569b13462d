"""Trains an autoencoder, which compresses samples into a small vector and back (Hinton & Salakhutdinov 2006).

A denoising autoencoder gets a damaged sample and has to return the whole one (Vincent et al. 2008). The networks decide
what it is trained on: images, mel-spectrograms, points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.saved import load_model

Noise = Literal["none", "gaussian", "salt-and-pepper"]


@dataclass(frozen=True)
class AutoencoderConfig:
    """`noise` makes it a denoising autoencoder; its level is a deviation or a share of pixels, see `corrupt`."""

    latent: int = 10
    noise: Noise = "none"
    noise_level: float = 0.0
    rate: float = 1e-3


def corrupt(x: Tensor, noise: Noise, level: float) -> Tensor:
    """Images `(B, C, H, W)` with Gaussian noise of deviation `level`, or with a share `level` of the pixels black (0)
    or white (1), all channels of a pixel alike; uses torch's random state."""
    if noise == "none":
        return x
    if noise == "gaussian":
        return x + level * torch.randn_like(x)
    if noise == "salt-and-pepper":
        chance = torch.rand_like(x[:, :1])
        return torch.where(chance < level, (chance < level / 2).to(x.dtype), x)
    raise ValueError(f"noise {noise!r} is not one of {get_args(Noise)}")


class Autoencoder(nn.Module):
    """`encoder` takes samples `(B, ...)` to codes `(B, latent)`, `decoder` takes them back."""

    ema_modules: tuple[str, ...] = ()
    code_mean: Tensor
    code_covariance: Tensor

    def __init__(self, config: AutoencoderConfig | None = None, *, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.config = config = config or AutoencoderConfig()
        self.encoder, self.decoder = encoder, decoder
        # Where the codes of the training samples lie, for `sample`.
        self.register_buffer("code_mean", torch.zeros(config.latent))
        self.register_buffer("code_covariance", torch.eye(config.latent))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> Autoencoder:
        """Trained weights by name or from a file or folder, to be used only. Raises `UserError`."""
        return load_model(
            name_or_path, "Autoencoder", AutoencoderConfig, lambda config, networks: cls(config, **networks)
        )

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"autoencoder": torch.optim.Adam(self.parameters(), self.config.rate)}

    def encode(self, x: Tensor) -> Tensor:
        """Samples `(B, ...)` -> codes `(B, latent)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Codes `(B, latent)` -> samples `(B, ...)`."""
        return self.decoder(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """`(count, ...)` decoded from a normal distribution with the mean and the covariance of the training codes.

        An autoencoder has no prior of its own: nothing asks its codes to be distributed like this.
        """
        jitter = 1e-6 * torch.eye(self.config.latent, device=self.code_mean.device)
        scale = torch.linalg.cholesky(self.code_covariance + jitter)
        noise = torch.randn(count, self.config.latent, device=scale.device)
        return self.decode(self.code_mean + noise @ scale.T)

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        """One step on samples `batch["x"]`, `(B, ...)`."""
        x, config = batch["x"], self.config
        z = self.encode(corrupt(x, config.noise, config.noise_level))
        loss = F.mse_loss(self.decode(z), x)
        optimizers["autoencoder"].zero_grad(set_to_none=True)
        loss.backward()
        optimizers["autoencoder"].step()
        self._remember(z.detach(), step)
        return {"autoencoder/total": loss.detach()}

    def _remember(self, z: Tensor, step: int) -> None:
        """Moves the moments of the codes towards those of a batch: an average over about the last hundred."""
        weight = max(0.01, 1 / (step + 1))
        self.code_mean.lerp_(z.mean(0), weight)
        centred = z - self.code_mean
        self.code_covariance.lerp_(centred.T @ centred / len(z), weight)
