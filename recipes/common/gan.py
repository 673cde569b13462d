"""Builds the GANs of the image recipes, and scores what they generate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generative_core import GAN, GANConfig
from generative_core.files import write_atomically
from generative_core.metrics import Extractor, fid, kid, precision_recall
from generative_core.nets import ConvGenerator, ImageDiscriminator
from generative_core.training.callbacks import Callback
from generative_core.training.protocols import Training
from recipes.common.image_data import Images
from voiceconv.errors import UserError

RATE = 1e-3
EMA_DECAY = 0.99  # trainings are short
SCORED = 2000  # at most so many images of each side in a score
FEWEST_SCORED = 10
CURVE_POINTS = 10
MODE_SHARE = 0.1  # of its share among real images, from which on a class counts as covered


def to_model(images: Tensor) -> Tensor:
    """Images in [0, 1] -> [-1, 1]."""
    return images * 2 - 1


def to_images(x: Tensor) -> Tensor:
    """What a generator draws -> images in [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


def check_images(train: Images, test: Images, *, by_class: bool) -> None:
    """Raises `UserError` for images that cannot be scored, or are all of one class where there should be more."""
    if by_class and len(train.classes) < 2:
        raise UserError(
            f"All images of {train.name} are of one class, and this needs at least two: a folder with one folder of "
            "images for each class."
        )
    if len(test) < FEWEST_SCORED:
        raise UserError(
            f"Of the images of {train.name} one in five is tested on, which makes {len(test)}; scores need at least "
            f"{FEWEST_SCORED}, so about {5 * FEWEST_SCORED} images in all."
        )


def halvings(shape: Sequence[int]) -> int:
    """How often images `(C, H, W)` can be halved before a side has fewer than 4 pixels, or an odd number of them."""
    times, sides = 0, list(shape[1:])
    while all(side % 2 == 0 and side >= 8 for side in sides):
        times, sides = times + 1, [side // 2 for side in sides]
    if not times:
        raise UserError(f"Images of {shape[1]}x{shape[2]} cannot be halved down to 4 to 7 pixels: 28 and 32 can.")
    return times


def convolutional_gan(
    config: GANConfig, shape: Sequence[int], *, channels: int = 32, augment: Callable[[Tensor], Tensor] | None = None
) -> GAN:
    """A GAN of plain convolutions for images `(C, H, W)`, by class if `config` has classes, with the rate that suits
    such small networks in place of the config's."""
    config = replace(config, generator_rate=RATE, discriminator_rate=RATE)
    layers = halvings(shape)
    return GAN(
        config,
        generator=lambda: ConvGenerator(
            shape=shape, z_dim=config.z_dim, classes=config.classes, channels=channels, layers=layers
        ),
        discriminator=lambda: ImageDiscriminator(shape=shape, classes=config.classes, channels=channels, layers=layers),
        augment=augment,
    )


def describe_generator(config: GANConfig, shape: Sequence[int], *, channels: int = 32) -> dict[str, Any]:
    """Of `convolutional_gan`, as `generative_core.saved` describes a network."""
    sizes = {"shape": list(shape), "z_dim": config.z_dim, "classes": config.classes, "channels": channels}
    return {"kind": "ConvGenerator", "layers": halvings(shape), **sizes}


def sample_images(model: GAN, count: int, seed: int, y: Tensor | None = None, **options: float) -> Tensor:
    """Generated images `(count, C, H, W)` in [0, 1], the same for the same seed."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return torch.cat(
            [
                to_images(model.sample(len(part), None if y is None else y[part], **options))
                for part in torch.arange(count).split(100)
            ]
        )


class Scores(NamedTuple):
    """How close generated images are to real ones: FID and KID (0 is best), the share that looks real (precision),
    the share of what is real that is drawn (recall)."""

    fid: float
    kid: float
    precision: float
    recall: float


SCORE_HEADER = ("FID", "KID", "precision", "recall")


def score(real: Tensor, fake: Tensor, extractor: Extractor) -> Scores:
    return Scores(fid(real, fake, extractor), kid(real, fake, extractor), *precision_recall(real, fake, extractor))


def modes_covered(labels: Tensor, real_labels: Tensor) -> int:
    """How many of the classes of the real images are among the generated ones in earnest, not once in a while."""
    classes = int(real_labels.max()) + 1
    shares, real_shares = (y.bincount(minlength=classes)[:classes] / len(y) for y in (labels, real_labels))
    return int(((shares >= MODE_SHARE * real_shares) & (real_shares > 0)).sum())


class FidCurve(Callback):
    """FID of the averaged weights at some steps of a training, kept in `path` so that a resumed run has it all."""

    def __init__(self, path: Path, real: Tensor, extractor: Extractor) -> None:
        self.path = path
        self.real = real
        self.extractor = extractor

    def on_step(self, trainer: Training, scalars: object) -> None:
        if trainer.step % max(5, trainer.config.steps // CURVE_POINTS):
            return
        assert isinstance(trainer.module, GAN)
        with trainer.averaged_weights():
            fake = sample_images(trainer.module, len(self.real), seed=0)
        points = dict(self.points()) | {trainer.step: fid(self.real, fake, self.extractor)}
        write_atomically(self.path, json.dumps(sorted(points.items())).encode())

    def points(self) -> list[tuple[int, float]]:
        """`(step, FID)` in order; a step that was repeated after a resume counts once."""
        return json.loads(self.path.read_bytes()) if self.path.is_file() else []
