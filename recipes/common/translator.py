"""Translates pictures of any size with a trained generator, in tiles where they are large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from generative_core import Pix2Pix
from generative_core.nets import ResNetGenerator, UNetGenerator
from generative_core.pretrained import load_reference_generator
from generative_core.saved import about_model
from recipes.common.gan import to_images
from recipes.common.translation import load_generator
from recipes.common.translation_data import Direction
from voiceconv.errors import UserError

DIRECTIONS: tuple[Direction, ...] = ("ab", "ba")
TILE = 512
LUMINANCE = (0.299, 0.587, 0.114)


class Translator:
    """Translates pictures by a generator; those larger than `tile` pixels piece by piece. Unless given, a tile is 512
    pixels wide, or as wide as what a U-Net was made for.

    A generator that has only seen whole things of one size is given `size`: pictures are scaled to so many pixels on
    their longer side, and stay so."""

    def __init__(
        self,
        generator: ResNetGenerator | UNetGenerator,
        planes: int,
        tile: int | None,
        device: torch.device,
        size: int | None = None,
    ) -> None:
        if tile is None:
            tile = generator.multiple if isinstance(generator, UNetGenerator) else TILE
        # Of what it has halved, a ResNet mirrors the edges, and a single pixel has nothing to mirror.
        self.smallest = generator.multiple * (1 if isinstance(generator, UNetGenerator) else 2)
        if tile < self.smallest:
            raise UserError(f"--tile {tile} is too small: this network works on {self.smallest} pixels and more.")
        self.generator = generator.to(device).eval()
        self.planes = planes
        self.tile = tile // generator.multiple * generator.multiple
        self.device = device
        self.size = size

    @torch.no_grad()
    def __call__(self, picture: Image.Image) -> Image.Image:
        """A picture in colour -> one in colour of the same size, or of `size` on its longer side."""
        if self.size is not None:
            scale = self.size / max(picture.size)
            width, height = (max(1, round(side * scale)) for side in picture.size)
            picture = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
        if self.planes == 1:
            pixels = (pixels * torch.tensor(LUMINANCE).view(3, 1, 1)).sum(0, keepdim=True)
        if self.planes not in (1, 3):
            raise UserError(f"This network wants pictures of {self.planes} planes; only grey and colour can be given.")
        x, (height, width) = pixels[None].to(self.device), pixels.shape[1:]
        x = F.pad(x, (0, max(0, self.smallest - width), 0, max(0, self.smallest - height)), mode="replicate")
        x = pad_to_multiple(x, self.generator.multiple, self.tile)
        y = translate_in_tiles(self.generator, x, self.tile)[0, :, :height, :width].cpu()
        return Image.fromarray((to_images(y) * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy())


def load_translators(run: Path, tile: int | None, device: torch.device) -> dict[Direction, Translator]:
    """The translators of a run's folder, by direction; of a shipped model by its name, of a file of the reference
    implementation, or one `generator_ab.safetensors`, just "ab". Raises `UserError` if there are none."""
    if not run.exists():
        return {"ab": shipped_translator(str(run), tile, device)}
    if run.is_dir():
        found = {direction: run / f"generator_{direction}.safetensors" for direction in DIRECTIONS}
        generators = {key: load_generator(path) for key, path in found.items() if path.is_file()}
        if not generators:
            raise UserError(
                f"{run} holds no generator_ab.safetensors, which a run of recipes.pix2pix or recipes.cyclegan leaves "
                "when it ends."
            )
    elif run.suffix == ".safetensors":
        generators = {"ab": load_generator(run)}
    else:
        generators = {"ab": load_reference_generator(run)}
    return {key: Translator(network, _planes(network), tile, device) for key, network in generators.items()}


def shipped_translator(name: str, tile: int | None, device: torch.device) -> Translator:
    network = Pix2Pix.from_pretrained(name).generator
    assert isinstance(network, ResNetGenerator | UNetGenerator)
    return Translator(network, _planes(network), tile, device, about_model(name).get("size"))


def pad_to_multiple(x: Tensor, multiple: int, tile: int) -> Tensor:
    """`(B, C, H, W)` with the last row and column repeated until both sides are multiples, or longer than a tile."""
    below, right = (0 if side > tile else -side % multiple for side in x.shape[2:])
    return F.pad(x, (0, right, 0, below), mode="replicate")


def translate_in_tiles(translate: Callable[[Tensor], Tensor], x: Tensor, tile: int) -> Tensor:
    """`translate` applied to `(1, C, H, W)` in squares of `tile` pixels that overlap by half.

    Every pixel is a mean of the tiles it is in, whose weights fall off towards their edges, so that no edge shows
    although every tile is normalised by itself. A picture that is no larger than a tile is translated whole.
    """
    height, width = x.shape[2:]
    if height <= tile and width <= tile:
        return translate(x)
    total, weights = None, torch.zeros(height, width)
    for top, rows in _pieces(height, tile):
        for left, columns in _pieces(width, tile):
            y = translate(x[:, :, top : top + rows, left : left + columns])
            weight = (_hat(rows)[:, None] * _hat(columns)).to(y)
            if total is None:
                total, weights = y.new_zeros(1, y.shape[1], height, width), weights.to(y)
            total[:, :, top : top + rows, left : left + columns] += weight * y
            weights[top : top + rows, left : left + columns] += weight
    assert total is not None
    return total / weights


def _pieces(length: int, tile: int) -> list[tuple[int, int]]:
    """Where tiles start along a side, and how long they are there; the last ends where the side does."""
    if length <= tile:
        return [(0, length)]
    return [(start, tile) for start in [*range(0, length - tile, tile // 2), length - tile]]


def _hat(length: int) -> Tensor:
    """A squared sine that is never quite zero."""
    return ((torch.arange(length) + 0.5) / length * torch.pi).sin().square()


def _planes(generator: ResNetGenerator | UNetGenerator) -> int:
    """Of the generator's input."""
    return next(value for value in generator.parameters() if value.ndim == 4).shape[1]
