"""Compares five GAN losses on digits, and shows how a GAN collapses and what prevents it.

    python -m recipes.gan_mnist --data datasets --download

Trains the same networks on the same data and seed with the non-saturating, LSGAN, hinge, WGAN-GP and relativistic
losses. The report shows samples, interpolations through the noise from one digit to another, changes of single
dimensions, and how far a small change of the noise moves an image. It then shows a collapse, by the non-saturating loss
with the momentum that is usual elsewhere, and the same seed with the penalties R1 and R2, which prevent it. It gives
FID, KID, precision and recall, with the features of our own classifier, beside those of real images against real ones;
the digits covered; and the FID along the training, whose worst value in the second half shows how stable it is.

Must reach: all ten digits with every loss, and an FID of at most five times that of real images; fewer digits when it
collapses, and all of them again with R1 and R2. It takes about seven minutes on two cores for MNIST, and three for
scikit-learn's digits, which are used without --data. Any folder with one folder of images for each class will do.
`--smoke` takes seconds.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from matplotlib.figure import Figure

from generative_core import GAN, GANConfig, interpolate, traverse
from recipes.common.command import run_recipe
from recipes.common.extractor import Extractor, train_extractor
from recipes.common.gan import (
    EMA_DECAY,
    SCORE_HEADER,
    SCORED,
    FidCurve,
    Scores,
    check_images,
    convolutional_gan,
    modes_covered,
    sample_images,
    score,
    to_images,
    to_model,
)
from recipes.common.image_figures import image_grid
from recipes.common.image_run import ImageConfig, TrainOptions, open_run

CHANNELS = 24
CURVE_SCORED = 1000
SHOWN = 12
PUSHES = (0.0, 0.1, 0.2, 0.4, 0.8)

LOSSES = {
    "non-saturating": GANConfig(adversarial="non-saturating"),
    "LSGAN": GANConfig(adversarial="lsgan"),
    # Without a penalty its discriminator saturates within the first steps, and nothing moves any more.
    "hinge, R1": GANConfig(adversarial="hinge", r1=0.1),
    "WGAN-GP": GANConfig(adversarial="wasserstein", gradient_penalty=10.0, betas=(0.0, 0.9)),
    # Without momentum, as R3GAN has it: with 0.5 its FID is half as high again.
    "relativistic, R1 + R2": GANConfig(adversarial="relativistic", r1=0.1, r2=0.1, betas=(0.0, 0.99)),
}
# Adam's usual momentum, which most networks are trained with and a GAN does not bear unless it is held back.
COLLAPSE = {
    "momentum 0.9": GANConfig(adversarial="non-saturating", betas=(0.9, 0.999)),
    "momentum 0.9, R1 + R2": GANConfig(adversarial="non-saturating", betas=(0.9, 0.999), r1=10.0, r2=10.0),
}


@dataclass(frozen=True)
class GANRecipe(ImageConfig):
    """One GAN for each loss, one that collapses, and its cure."""

    z_dim: int = 64
    """Dimensions of the noise."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=1600, batch_size=64))


def closeness(model: GAN, extractor: Extractor, seed: int) -> list[float]:
    """How far a push of each of the strengths `PUSHES` moves an image, in the classifier's features, as a share of how
    far two images of independent noise are from each other."""
    torch.manual_seed(seed)
    z, other, push = model.noise(500), model.noise(500), model.noise(500)
    at = extractor(to_images(model.decode(z)))
    apart = (extractor(to_images(model.decode(other))) - at).norm(dim=1).mean()
    return [
        float((extractor(to_images(model.decode(z + strength * push))) - at).norm(dim=1).mean() / apart)
        for strength in PUSHES
    ]


def main(config: GANRecipe) -> None:
    variants = LOSSES | COLLAPSE
    with open_run(config, "gan_mnist", trainings=len(variants)) as run:
        train, test = run.images()
        check_images(train, test, by_class=True)
        extractor = train_extractor(train, test, run.folder, steps=run.steps(800))
        models, curves = {}, {}
        for name, gan in variants.items():
            folder = re.sub(r"\W+", "-", name.lower())
            curve = FidCurve(run.folder / f"{folder}-fid.json", test.x[:CURVE_SCORED], extractor)
            models[name] = run.train(
                folder,
                partial(convolutional_gan, replace(gan, z_dim=config.z_dim), train.shape, channels=CHANNELS),
                run.loader(x=to_model(train.x)),
                callbacks=[curve],
                ema_decay=EMA_DECAY,
                decay_steps=run.steps(config.train.steps) // 2,
            )
            curves[name] = curve.points()

        count = min(SCORED, len(test), len(train))
        real = test.x[:count]
        rows: list[list[object]] = []
        scores: dict[str, Scores] = {}
        for name, model in models.items():
            fake = sample_images(model, count, config.seed)
            labels = extractor.probabilities(fake).argmax(1)
            late = [value for step, value in curves[name] if step > config.train.steps // 2]
            scores[name] = score(real, fake, extractor)
            rows.append([name, *scores[name], modes_covered(labels, test.y), max(late, default=None)])
        floor = score(real, train.x[:count], extractor)
        rows.append(["real images", *floor, modes_covered(train.y[:count], test.y), None])
        best = min(LOSSES, key=lambda name: scores[name].fid)
        moved = closeness(models[best], extractor, config.seed)

        report = run.report(
            "Losses of a GAN, and what keeps it stable",
            f"{train.name}: {len(train)} images to train on, {len(test)} to test on. The networks, the data and the "
            "seed are the same everywhere; only the loss and its penalties differ, and the momentum where it says so.",
        )
        picture = losses_picture(models, config.seed)
        report.figure(picture, "What each draws from the same noise; not selected")
        report.table(rows, ("loss", *SCORE_HEADER, "classes covered", "worst FID, second half"))
        report.text(
            f"FID, KID, precision and recall from {count} samples against as many test images; for the real images it "
            f"is training against test images. Features: {extractor.name}. A class is covered when it has a tenth of "
            "its real share among the samples."
        )
        report.figure(curves_picture(curves), "FID along the training, averaged weights; the scale is logarithmic")
        report.heading("The noise")
        report.figure(walks_picture(models[best], config.seed), f"{best}, the lowest FID: from one noise to another")
        report.figure(turns_picture(models[best], config.seed), f"{best}: one dimension of one noise from -3 to 3")
        report.figure(pushes_picture(models[best], config.seed), f"{best}: the same noise, pushed more and more")
        report.table(
            [list(pair) for pair in zip(PUSHES, moved, strict=True)],
            ("push, in deviations of the noise", "moved, as a share of the distance of two images"),
        )
        results = {
            "data": train.name,
            "extractor": extractor.name,
            "scores": {str(name): values for name, *values in rows},
            "curves": curves,
            "moved": moved,
        }
        run.save(report, results, picture)


def losses_picture(models: dict[str, GAN], seed: int) -> Figure:
    images = [sample_images(model, 2 * SHOWN, seed).unflatten(0, (2, SHOWN)) for model in models.values()]
    return image_grid(torch.cat(images), rows=[label for name in models for label in (name, "")])


def curves_picture(curves: dict[str, list[tuple[int, float]]]) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        axes.semilogy(*zip(*points, strict=True) if points else ([], []), "--" if name in COLLAPSE else "-", label=name)
    axes.set(xlabel="step", ylabel="FID")
    axes.legend(frameon=False, fontsize=8)
    return figure


def walks_picture(model: GAN, seed: int) -> Figure:
    torch.manual_seed(seed)
    return image_grid(to_images(interpolate(model.decode, model.noise(5), model.noise(5), SHOWN)))


def turns_picture(model: GAN, seed: int) -> Figure:
    torch.manual_seed(seed)
    z, values = model.noise(1), torch.linspace(-3, 3, SHOWN)
    images = torch.cat([traverse(model.decode, z, dimension, values) for dimension in range(5)])
    return image_grid(to_images(images), rows=[f"dimension {dimension}" for dimension in range(5)])


def pushes_picture(model: GAN, seed: int) -> Figure:
    torch.manual_seed(seed)
    z, push = model.noise(1), model.noise(SHOWN)
    images = torch.stack([model.decode(z + strength * push) for strength in PUSHES])
    return image_grid(to_images(images), rows=[f"pushed {strength}" for strength in PUSHES])


if __name__ == "__main__":
    sys.exit(run_recipe(GANRecipe, main, __doc__))
