"""Families of generative models that share one trainer: each file reads from top to bottom."""

from generative_core.checkpoint import FAMILIES, CheckpointError, load_checkpoint
from generative_core.cyclegan import CycleGAN, CycleGANConfig
from generative_core.data import UnpairedLoader
from generative_core.gan import GAN, GANConfig
from generative_core.trainer import NonFiniteLoss, TrainConfig, Trainer

__all__ = [
    "FAMILIES",
    "CheckpointError",
    "CycleGAN",
    "CycleGANConfig",
    "GAN",
    "GANConfig",
    "NonFiniteLoss",
    "TrainConfig",
    "Trainer",
    "UnpairedLoader",
    "load_checkpoint",
]
