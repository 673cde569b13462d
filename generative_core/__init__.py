"""Families of generative models that share one trainer: each file reads from top to bottom."""

from generative_core.checkpoint import FAMILIES, CheckpointError, load_checkpoint
from generative_core.cyclegan import CycleGAN, CycleGANConfig
from generative_core.data import UnpairedLoader
from generative_core.trainer import NonFiniteLoss, TrainConfig, Trainer
from generative_core.waveform_gan import WaveformGAN, WaveformGANConfig

__all__ = [
    "FAMILIES",
    "CheckpointError",
    "CycleGAN",
    "CycleGANConfig",
    "NonFiniteLoss",
    "TrainConfig",
    "Trainer",
    "UnpairedLoader",
    "WaveformGAN",
    "WaveformGANConfig",
    "load_checkpoint",
]
