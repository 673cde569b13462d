"""Families of generative models that share one trainer: each file reads from top to bottom."""

from generative_core import samplers
from generative_core.families.autoencoder import Autoencoder, AutoencoderConfig
from generative_core.families.consistency import ConsistencyConfig, ConsistencyStudent
from generative_core.families.cut import CUT, CUTConfig
from generative_core.families.cyclegan import CycleGAN, CycleGANConfig
from generative_core.families.debiasing_vae import DebiasingVAE, DebiasingVAEConfig
from generative_core.families.diffusion import Diffusion, DiffusionConfig
from generative_core.families.gan import GAN, GANConfig
from generative_core.families.pix2pix import Pix2Pix, Pix2PixConfig
from generative_core.families.vae import VAE, VAEConfig
from generative_core.families.waveform_gan import WaveformGAN, WaveformGANConfig
from generative_core.latent import interpolate, traverse
from generative_core.training.checkpoint import FAMILIES, CheckpointError, load_checkpoint
from generative_core.training.data import PairedLoader, TensorLoader, UnpairedLoader
from generative_core.training.trainer import NonFiniteLoss, TrainConfig, Trainer

__all__ = [
    "FAMILIES",
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
    "GAN",
    "GANConfig",
    "NonFiniteLoss",
    "PairedLoader",
    "Pix2Pix",
    "Pix2PixConfig",
    "TensorLoader",
    "TrainConfig",
    "Trainer",
    "UnpairedLoader",
    "VAE",
    "VAEConfig",
    "interpolate",
    "WaveformGAN",
    "WaveformGANConfig",
    "load_checkpoint",
    "samplers",
    "traverse",
]
