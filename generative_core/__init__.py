"""Families of generative models that share one trainer: each file reads from top to bottom."""

from generative_core.checkpoint import FAMILIES, CheckpointError, load_checkpoint
from generative_core.cyclegan import CycleGAN, CycleGANConfig
from generative_core.data import TensorLoader, UnpairedLoader
from generative_core.gan import GAN, GANConfig
from generative_core.latent import interpolate, traverse
from generative_core.trainer import NonFiniteLoss, TrainConfig, Trainer

__all__ = [
    "FAMILIES",
    "CheckpointError",
    "CycleGAN",
    "CycleGANConfig",
    "GAN",
    "GANConfig",
    "NonFiniteLoss",
    "TensorLoader",
    "TrainConfig",
    "Trainer",
    "UnpairedLoader",
    "interpolate",
    "load_checkpoint",
    "traverse",
]
