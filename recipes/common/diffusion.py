"""Builds the diffusion models of the recipes, and draws samples from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from generative_core import VAE, Diffusion, DiffusionConfig, VAEConfig
from generative_core.nets import DiffusionUNet, TextEncoder
from generative_core.training.checkpoint import CheckpointError, load_latest_checkpoint
from generative_core.training.precision import Precision
from recipes.common.gan import halvings, to_images, to_model
from recipes.common.image_run import ImageConfig, shape_error
from voiceconv.errors import UserError

MULTIPLIERS = (1, 2, 2, 2)  # of the channels, for 28x28 the first three
BATCH = 500
BATCH_ON_CPU = 64  # larger ones leave its cache: 500 take one and a half to two times as long
LATENT_PLANES = 4


@dataclass(frozen=True)
class DiffusionRecipe(ImageConfig):
    """What every diffusion recipe asks beside."""

    precision: Literal["float32", "auto"] = "auto"
    """With auto a measurement of three seconds chooses what is fastest on the device: float32 or bfloat16, contiguous
    or channels-last, on a GPU compiled or not."""
    formulation: Literal["rectified flow", "edm"] = "rectified flow"
    """What the network predicts, and how noise is added."""
    channels: int = 32
    """Channels of the network's first layers; the others have twice as many. 32 suits a CPU, 128 a GPU."""
    ema_width: float = 0.1
    """Relative width of the power-function average of the weights."""
    sampler: Literal["euler", "heun", "ddim", "dpm-solver++"] = "dpm-solver++"
    """How samples are drawn."""
    sampling_steps: int = 20
    """Steps from noise to a sample."""
    guidance: float = 1.5
    """Weight of classifier-free guidance; 1 is none."""


Recipe = TypeVar("Recipe", bound=DiffusionRecipe)


def quick(config: Recipe) -> Recipe:
    """A smoke run has a small network and draws in two steps; any other is as it is."""
    return replace(config, channels=8, sampling_steps=2) if config.smoke else config


def diffusion_unet(
    config: DiffusionConfig, *, channels: int, blocks: int = 1, text: TextEncoder | None = None
) -> Diffusion:
    """A model for images of `config.shape`, halved down to 4 to 7 pixels but three times at most; the smaller half of
    the resolutions attends."""
    times = min(halvings(config.shape), len(MULTIPLIERS) - 1)
    with shape_error():
        network = DiffusionUNet(
            shape=config.shape,
            channels=channels,
            multipliers=MULTIPLIERS[: times + 1],
            blocks=blocks,
            attention=max(1, times - 1),
            classes=config.classes,
            text=text,
            image_planes=config.image_planes,
        )
    return Diffusion(config, network)


def load_diffusion(run: Path) -> Diffusion:
    """The model by class of a run of `diffusion_mnist`, with its averaged weights, to be used only."""
    try:
        settings = json.loads((run / "config.json").read_text(encoding="utf-8"))["settings"]
        state = load_latest_checkpoint(run / "diffusion" / "checkpoints")
    except (OSError, ValueError, KeyError, CheckpointError) as error:
        raise UserError(f"{run} holds no finished run of recipes.diffusion_mnist: {error}.") from error
    if state is None or settings.get("recipe") != "diffusion_mnist":
        raise UserError(f"{run} holds no run of recipes.diffusion_mnist.")
    model = diffusion_unet(DiffusionConfig(**state["config"]), channels=len(state["model"]["network.enter.weight"]))
    model.load_state_dict({**state["model"], **state["ema"]})
    return model.eval().requires_grad_(False)


def draw(
    model: Diffusion,
    count: int,
    seed: int,
    condition: Mapping[str, Tensor] | None = None,
    *,
    precision: Precision | None = None,
    **options: Any,
) -> Tensor:
    """Samples `(count, *shape)`, the same for the same seed, some at a time; `options` are those of `sample`. In single
    precision unless given: what was fastest to train in mostly is to draw in."""
    noise = seeded_noise(count, model.config.shape, seed)
    device = next(model.parameters()).device
    autocast = (precision or Precision()).autocast(device)
    batch = BATCH_ON_CPU if device.type == "cpu" else BATCH
    with autocast, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return torch.cat(
            [
                model.sample(
                    len(part),
                    condition and {name: value[part.to(value.device)] for name, value in condition.items()},
                    noise=noise[part],
                    **options,
                )
                for part in torch.arange(count).split(batch)
            ]
        )


def seeded_noise(count: int, shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal `(count, *shape)`, the same on every device."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


class Codec(Protocol):
    """Between images in [0, 1] and what a diffusion model draws."""

    shape: tuple[int, ...]

    def encode(self, images: Tensor) -> Tensor: ...
    def decode(self, x: Tensor) -> Tensor: ...


class Pixels:
    """The images themselves, in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def encode(self, images: Tensor) -> Tensor:
        return to_model(images)

    def decode(self, x: Tensor) -> Tensor:
        return to_images(x)


class Latents:
    """The latent maps of a VAE, a quarter as high and wide as the images, with the mean 0 and the deviation 0.5 over
    those that it is made with (latent diffusion, Rombach et al. 2022, arXiv:2112.10752)."""

    def __init__(self, vae: VAE, images: Tensor) -> None:
        self.vae = vae
        self.shape: tuple[int, ...] = (LATENT_PLANES, images.shape[2] // 4, images.shape[3] // 4)
        codes = self._codes(images)
        self.mean, self.deviation = codes.mean(), codes.std()

    def encode(self, images: Tensor) -> Tensor:
        return (self._codes(images) - self.mean) / (2 * self.deviation)

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        codes = 2 * self.deviation * x.flatten(1) + self.mean
        return torch.cat([self.vae.decode(part) for part in codes.split(BATCH)]).clamp(0, 1)

    @torch.no_grad()
    def _codes(self, images: Tensor) -> Tensor:
        return torch.cat([self.vae.encode(part) for part in images.split(BATCH)]).unflatten(1, self.shape)


def latent_vae(shape: Sequence[int], channels: int) -> VAE:
    """A VAE of convolutions whose latents are maps, a quarter as high and wide as the images `(C, H, W)`."""
    planes, height, width = shape
    if height % 16 or width % 16:
        raise UserError(f"Latents need images whose sides are multiples of 16, not {height}x{width}: say so by --size.")
    wide = 2 * channels
    encoder = nn.Sequential(
        *(nn.Conv2d(planes, channels, 3, padding=1), nn.SiLU()),
        *(nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(wide, wide, 3, padding=1), nn.SiLU()),
        *(nn.Conv2d(wide, wide, 4, stride=2, padding=1), nn.SiLU()),
        *(nn.Conv2d(wide, 2 * LATENT_PLANES, 3, padding=1), nn.Flatten()),
    )
    decoder = nn.Sequential(
        *(nn.Unflatten(1, (LATENT_PLANES, height // 4, width // 4)), nn.Conv2d(LATENT_PLANES, wide, 3, padding=1)),
        *(nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(wide, wide, 3, padding=1), nn.SiLU()),
        *(nn.Conv2d(wide, wide, 3, padding=1), nn.SiLU(), nn.Upsample(scale_factor=2)),
        *(nn.Conv2d(wide, channels, 3, padding=1), nn.SiLU(), nn.Conv2d(channels, planes, 3, padding=1)),
    )
    latent = LATENT_PLANES * height * width // 16
    return VAE(VAEConfig(latent=latent, likelihood="gaussian"), encoder=encoder, decoder=decoder)
