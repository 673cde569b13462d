"""Defines networks with plain keyword arguments; they know nothing of families, configs or audio."""

from generative_core.nets.conv import ConvDecoder, ConvEncoder, ConvGenerator
from generative_core.nets.convnext import ConvNeXtBlock1d, ConvNeXtGenerator, share_lookahead
from generative_core.nets.diffusion_unet import DiffusionUNet
from generative_core.nets.discriminator import (
    ImageDiscriminator,
    PatchClassifier,
    PatchDiscriminator,
    PixelDiscriminator,
)
from generative_core.nets.gated import GatedGenerator
from generative_core.nets.mlp import MLPDecoder, MLPEncoder
from generative_core.nets.norm import Norm, Upsampling, initialise_normal
from generative_core.nets.resnet import ResNetGenerator
from generative_core.nets.spectrogram import SpectrogramClassifier, SpectrogramDiscriminator
from generative_core.nets.streaming import Streamed, block_layers
from generative_core.nets.style import MappingNetwork, ModulatedConv2d, StyleGenerator
from generative_core.nets.text import TextEncoder
from generative_core.nets.unet import UNetGenerator
from generative_core.nets.waveform import PeriodDiscriminator, ResolutionDiscriminator

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "ConvGenerator",
    "ConvNeXtBlock1d",
    "ConvNeXtGenerator",
    "DiffusionUNet",
    "GatedGenerator",
    "ImageDiscriminator",
    "MLPDecoder",
    "MLPEncoder",
    "MappingNetwork",
    "ModulatedConv2d",
    "Norm",
    "PatchClassifier",
    "PatchDiscriminator",
    "PeriodDiscriminator",
    "PixelDiscriminator",
    "ResNetGenerator",
    "ResolutionDiscriminator",
    "SpectrogramClassifier",
    "SpectrogramDiscriminator",
    "Streamed",
    "StyleGenerator",
    "UNetGenerator",
    "Upsampling",
    "block_layers",
    "initialise_normal",
    "TextEncoder",
    "share_lookahead",
]
