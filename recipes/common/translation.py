"""Reads the options of a picture translation, and builds and saves its generators and discriminators."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from generative_core.nets import (
    PatchDiscriminator,
    PixelDiscriminator,
    ResNetGenerator,
    UNetGenerator,
    Upsampling,
    initialise_normal,
)
from recipes.common.image_run import RunConfig, TrainOptions
from recipes.common.translation_data import Direction, Mode, Preparation, Reader
from voiceconv.errors import UserError

Network = Literal["unet_128", "unet_256", "resnet_6blocks", "resnet_9blocks"]
MULTIPLES = {"unet_128": 128, "unet_256": 256, "resnet_6blocks": 4, "resnet_9blocks": 4}
ENLARGEMENT = 286 / 256  # of a picture before it is cropped, in the papers
SMOKE_CHANNELS = 4
SMOKE_PICTURES = 12
SMALLEST_PATCHED = 24  # pixels, of which the discriminator's convolutions leave 2x2 places to normalise


@dataclass(frozen=True)
class TranslationConfig(RunConfig):
    """What every translation of pictures asks; where names are those of the reference implementation, so is what they
    mean."""

    data: Path | None = None
    """Folder with pictures; see above."""
    direction: Direction | None = None
    """ab makes the first domain A, ba the second; unless given, what the task says."""
    preprocess: Mode = "resize_and_crop"
    """What is done to pictures before they are shown."""
    crop_size: int | None = None
    """Side of the square that networks see; unless given, what the task's pictures are made for."""
    load_size: int | None = None
    """Side (or width) to which pictures are scaled first; unless given, 286 for a crop of 256."""
    no_flip: bool = False
    """Do not mirror pictures at random."""
    network: Network | None = None
    """The generator; unless given, what the paper takes for pictures of that size."""
    channels: int = 64
    """Channels of the first layers of all networks; 16 to 32 are for computers without a GPU."""
    norm: Literal["batch", "instance"] = "instance"
    """Normalisation in all networks."""
    upsampling: Upsampling = "transposed"
    """How generators enlarge: by transposed convolutions, or by resizing, which leaves no checkerboard."""
    discriminator: Literal["patch", "pixel"] = "patch"
    """Discriminators see patches of 70x70 pixels, or single pixels."""
    adversarial: Literal["lsgan", "non-saturating"] = "lsgan"
    """Least squares, or the original loss (called vanilla elsewhere)."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=20_000, batch_size=1))


class Setting(NamedTuple):
    """The configuration with what was left open filled in."""

    network: Network
    channels: int
    reader: Reader


def settle(config: TranslationConfig, crop_size: int, network: Network) -> Setting:
    """Fills in the task's crop size and network; raises `UserError` for numbers that cannot be meant."""
    network = config.network or network
    crop = config.crop_size or crop_size
    load = config.load_size or round(crop * ENLARGEMENT)
    if min(crop, load) < 4 or config.channels < 1:
        raise UserError("--crop-size and --load-size must be at least 4 and --channels at least 1.")
    if config.preprocess == "resize_and_crop" and load < crop:
        raise UserError(f"--load-size {load} must not be smaller than --crop-size {crop}.")
    if config.discriminator == "patch" and crop < SMALLEST_PATCHED:
        raise UserError(f"--discriminator patch needs a --crop-size of at least {SMALLEST_PATCHED}, or use pixel.")
    if config.preprocess in ("scale_width", "none") and config.train.batch_size > 1:
        raise UserError(f"--preprocess {config.preprocess} leaves pictures in many sizes: use --train.batch-size 1.")
    preparation = Preparation(config.preprocess, load, crop, not config.no_flip)
    limit = SMOKE_PICTURES if config.smoke else None
    channels = min(config.channels, SMOKE_CHANNELS) if config.smoke else config.channels
    return Setting(network, channels, Reader(preparation, network, MULTIPLES[network], limit))


@dataclass(frozen=True)
class GeneratorDescription:
    """How to build a generator again; kept in the file with its weights."""

    network: Network
    planes: int
    out_planes: int
    channels: int
    norm: Literal["batch", "instance"]
    dropout: bool
    upsampling: Upsampling
    input_skip: bool = False

    def build(self) -> ResNetGenerator | UNetGenerator:
        options = self.for_model_file()
        kind = UNetGenerator if options.pop("kind") == "UNetGenerator" else ResNetGenerator
        return initialise_normal(kind(**options))

    def for_model_file(self) -> dict[str, Any]:
        """As `generative_core.saved` describes a network."""
        options: dict[str, Any] = asdict(self)
        del options["network"], options["input_skip"]
        if self.network.startswith("unet"):
            layers = 7 if self.network == "unet_128" else 8
            return {"kind": "UNetGenerator", "layers": layers, "input_skip": self.input_skip, **options}
        return {"kind": "ResNetGenerator", "blocks": 6 if self.network == "resnet_6blocks" else 9, **options}


def describe_generator(
    config: TranslationConfig,
    setting: Setting,
    planes: int,
    out_planes: int,
    *,
    dropout: bool = False,
    input_skip: bool = False,
) -> GeneratorDescription:
    return GeneratorDescription(
        setting.network, planes, out_planes, setting.channels, config.norm, dropout, config.upsampling, input_skip
    )


def build_discriminator(config: TranslationConfig, setting: Setting, planes: int) -> nn.Module:
    kind = PatchDiscriminator if config.discriminator == "patch" else PixelDiscriminator
    return initialise_normal(kind(planes=planes, channels=setting.channels, norm=config.norm))


def save_generator(path: Path, generator: nn.Module, description: GeneratorDescription) -> None:
    """Weights and description in one safetensors file."""
    state = {name: value.contiguous().cpu() for name, value in generator.state_dict().items()}
    save_file(state, path, {"generator": json.dumps(asdict(description))})


def load_generator(path: Path) -> ResNetGenerator | UNetGenerator:
    """What `save_generator` wrote, in evaluation mode; raises `UserError` if it is something else."""
    try:
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()["generator"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
        generator = GeneratorDescription(**description).build()
        generator.load_state_dict(state)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is not a generator that a recipe has saved: {error}") from error
    return generator.eval()
