"""Offers families of generative models that share one trainer; each file reads from top to bottom."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generative_core import samplers
    from generative_core.errors import UserError
    from generative_core.families.autoencoder import Autoencoder, AutoencoderConfig
    from generative_core.families.consistency import ConsistencyConfig, ConsistencyStudent
    from generative_core.families.cut import CUT, CUTConfig
    from generative_core.families.cyclegan import CycleGAN, CycleGANConfig, Domain, Objective
    from generative_core.families.debiasing_vae import DebiasingVAE, DebiasingVAEConfig
    from generative_core.families.diffusion import Diffusion, DiffusionConfig
    from generative_core.families.gan import GAN, GANConfig
    from generative_core.families.pix2pix import Pix2Pix, Pix2PixConfig
    from generative_core.families.vae import VAE, VAEConfig
    from generative_core.families.waveform_gan import WaveformGAN, WaveformGANConfig
    from generative_core.latent import interpolate, traverse
    from generative_core.training.checkpoint import CheckpointError, load_checkpoint
    from generative_core.training.config import TrainConfig
    from generative_core.training.data import PairedLoader, TensorLoader, UnpairedLoader
    from generative_core.training.trainer import NonFiniteLoss, Trainer

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "CUT",
    "CUTConfig",
    "CheckpointError",
    "ConsistencyConfig",
    "ConsistencyStudent",
    "CycleGAN",
    "CycleGANConfig",
    "DebiasingVAE",
    "DebiasingVAEConfig",
    "Diffusion",
    "DiffusionConfig",
    "Domain",
    "GAN",
    "GANConfig",
    "NonFiniteLoss",
    "Objective",
    "PairedLoader",
    "Pix2Pix",
    "Pix2PixConfig",
    "TensorLoader",
    "TrainConfig",
    "Trainer",
    "UnpairedLoader",
    "UserError",
    "VAE",
    "VAEConfig",
    "WaveformGAN",
    "WaveformGANConfig",
    "interpolate",
    "load_checkpoint",
    "samplers",
    "traverse",
]

_HOME = {
    "Autoencoder": "families.autoencoder",
    "AutoencoderConfig": "families.autoencoder",
    "CUT": "families.cut",
    "CUTConfig": "families.cut",
    "CheckpointError": "training.checkpoint",
    "ConsistencyConfig": "families.consistency",
    "ConsistencyStudent": "families.consistency",
    "CycleGAN": "families.cyclegan",
    "CycleGANConfig": "families.cyclegan",
    "DebiasingVAE": "families.debiasing_vae",
    "DebiasingVAEConfig": "families.debiasing_vae",
    "Diffusion": "families.diffusion",
    "DiffusionConfig": "families.diffusion",
    "Domain": "families.cyclegan",
    "GAN": "families.gan",
    "GANConfig": "families.gan",
    "NonFiniteLoss": "training.trainer",
    "Objective": "families.cyclegan",
    "PairedLoader": "training.data",
    "Pix2Pix": "families.pix2pix",
    "Pix2PixConfig": "families.pix2pix",
    "TensorLoader": "training.data",
    "TrainConfig": "training.config",
    "Trainer": "training.trainer",
    "UnpairedLoader": "training.data",
    "UserError": "errors",
    "VAE": "families.vae",
    "VAEConfig": "families.vae",
    "WaveformGAN": "families.waveform_gan",
    "WaveformGANConfig": "families.waveform_gan",
    "interpolate": "latent",
    "load_checkpoint": "training.checkpoint",
    "traverse": "latent",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: torch takes seconds, and whoever only reads an error's class needs none of it."""
    if name == "samplers":
        return import_module("generative_core.samplers")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
