"""Generates digits of a requested class with a conditional GAN.

    python -m recipes.conditional_gan --data datasets --download

The generator is given the class and noise; the discriminator rates an image as one of its class (projection, Miyato &
Koyama 2018). The report shows every class from the same noise, column by column: what the noise decides, such as slant
and thickness, stays the same from digit to digit. It measures how often our own classifier recognises the requested
class, and the FID within each class beside that of real images against real ones.

Should reach: 95 % of the samples of a digit are recognised as that digit. It takes about five minutes on two cores for
MNIST, and two for scikit-learn's digits, which are used without --data. Any folder with one folder of images for each
class will do. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import GAN, GANConfig
from generative_core.metrics import fid
from generative_core.saved import FILE, save_model
from recipes.common.command import run_recipe
from recipes.common.extractor import train_extractor
from recipes.common.gan import (
    EMA_DECAY,
    SCORE_HEADER,
    SCORED,
    check_images,
    convolutional_gan,
    describe_generator,
    sample_images,
    score,
    to_images,
    to_model,
)
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid
from recipes.common.image_run import ImageConfig, TrainOptions, open_run
from voiceconv.errors import UserError

SHOWN = 12


@dataclass(frozen=True)
class ConditionalRecipe(ImageConfig):
    """A GAN with a class condition."""

    z_dim: int = 64
    """Dimensions of the noise."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=5000, batch_size=64))


def main(config: ConditionalRecipe) -> None:
    with open_run(config, "conditional_gan", trainings=1) as run:
        train, test = run.images()
        classes = len(train.classes)
        check_images(train, test, by_class=True)
        extractor = train_extractor(train, test, run.folder, steps=run.steps(800))
        gan = GANConfig(
            adversarial="relativistic", z_dim=config.z_dim, classes=classes, r1=0.1, r2=0.1, betas=(0.0, 0.99)
        )
        model = run.train(
            "gan",
            lambda: convolutional_gan(gan, train.shape),
            run.loader(x=to_model(train.x), y=train.y),
            ema_decay=EMA_DECAY,
            decay_steps=run.steps(config.train.steps) // 2,
        )
        save_model(run.folder / FILE, model, {"generator": describe_generator(gan, train.shape)})

        # As many samples and training images of each class as there are test images of it.
        fake = sample_images(model, len(test), config.seed, test.y)
        twins = same_classes(train, test.y)
        seen, seen_real = (extractor.probabilities(x).argmax(1) for x in (fake, test.x))
        rows: list[list[object]] = []
        for label, name in enumerate(train.classes):
            at = test.y == label
            count = int(at.sum())
            if count < 2:
                continue
            rows.append(
                [
                    name,
                    count,
                    _share(seen[at], label),
                    _share(seen_real[at], label),
                    fid(test.x[at], fake[at], extractor),
                    fid(test.x[at], twins[at], extractor),
                ]
            )
        accuracy, real_accuracy = (float((labels == test.y).double().mean()) for labels in (seen, seen_real))
        whole = slice(SCORED)
        scores = score(test.x[whole], fake[whole], extractor)
        floor = score(test.x[whole], twins[whole], extractor)

        report = run.report(
            "Digits on demand" if train.classes == tuple("0123456789") else "Images by class",
            f"{train.name}: {len(train)} images of {classes} classes to train on, {len(test)} to test on.",
        )
        picture = classes_picture(model, train.classes, config.seed)
        report.figure(picture, "Each row is one class, each column the same noise for all of them; not selected")
        report.text(
            f"{accuracy:.1%} of the samples are seen as the class that was asked for; of the real test images "
            f"{real_accuracy:.1%} are.",
            tone="good" if accuracy >= 0.95 else "fair",
        )
        report.table(
            [["generated", *scores], ["real images", *floor]],
            ["all classes", *SCORE_HEADER],
        )
        header = [
            "class",
            "images of each side",
            "seen right, generated",
            "seen right, real",
            "FID",
            "FID of real images",
        ]
        report.table(rows, header)
        report.text(
            f"Classifier and features: {extractor.name}. FID is between generated and test images, and for real images "
            "between training and test images, as many of each. It grows as images get fewer: compare within a row."
        )
        results = {
            "data": train.name,
            "extractor": extractor.name,
            "accuracy": accuracy,
            "real_accuracy": real_accuracy,
            "scores": scores._asdict(),
            "floor": floor._asdict(),
            "classes": [dict(zip(header, row, strict=True)) for row in rows],
        }
        run.save(report, results, picture)


def same_classes(images: Images, y: Tensor) -> Tensor:
    """Images of the classes `y`, `(N, C, H, W)`: the first ones of each class, over again if there are too few."""
    chosen = torch.empty_like(y)
    for label in y.unique():
        places = (y == label).nonzero()[:, 0]
        members = (images.y == label).nonzero()[:, 0]
        if not len(members):
            raise UserError(f"None of the training images of {images.name} is of the class {images.classes[label]}.")
        chosen[places] = members[torch.arange(len(places), device=y.device) % len(members)]
    return images.x[chosen]


def _share(labels: Tensor, label: int) -> float:
    return float((labels == label).double().mean())


def classes_picture(model: GAN, classes: tuple[str, ...], seed: int) -> Figure:
    torch.manual_seed(seed)
    z = model.noise(SHOWN)
    rows = [to_images(model.decode(z, torch.full((SHOWN,), label))) for label in range(len(classes))]
    return image_grid(torch.stack(rows), rows=classes)


if __name__ == "__main__":
    sys.exit(run_recipe(ConditionalRecipe, main, __doc__))
