"""Filling up a small training set: do generated images help a classifier that has few real ones?

    python -m recipes.augmentation --data datasets --download

From 10, 20, 50 and 100 real images a class, a conditional GAN learns to draw more; it sees them turned, scaled and
shifted a little (differentiable augmentation, Zhao et al. 2020), lest its discriminator learn them by heart. Then the
same classifier is trained on the real images alone, with the same changes made to them (classical augmentation), with
half of every batch generated, and with both. Measures the accuracy on test images with a 95 % interval over seeds, each
of which draws other real images; and the gain of generated images over none and over classical augmentation, seed by
seed.

Should tell: whether generated images beat none (they should, with few real ones), and whether they add anything to
classical augmentation (do not expect it). On MNIST about six minutes on two cores; with scikit-learn's digits, which
are taken without --data, five. Any folder with one folder of images for each class will do. `--smoke` takes seconds.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from generative_core import GAN, GANConfig
from generative_core.augment import random_affine
from generative_core.files import write_atomically
from recipes.common.command import run_recipe
from recipes.common.extractor import Extractor
from recipes.common.gan import EMA_DECAY, check_images, convolutional_gan, sample_images, to_model
from recipes.common.image import ImageConfig, Run, TrainOptions, open_run
from recipes.common.image_data import Images
from recipes.common.intervals import Interval, interval
from recipes.common.pictures import image_grid
from voiceconv.errors import UserError

TESTED = 2000
GENERATED = 200  # images a class
SHOWN = 6  # of them, and of the real ones
CLASSIFIER_STEPS = 200
CHANGES = {"degrees": 12.0, "scale": 0.1, "shift": 0.08}
WAYS = ("real only", "classical", "generated", "both")


@dataclass(frozen=True)
class AugmentationRecipe(ImageConfig):
    """One conditional GAN and four classifiers for every size and seed."""

    sizes: tuple[int, ...] = (10, 20, 50, 100)
    """Real images a class."""
    seeds: int = 5
    """Repetitions, each with other real images."""
    z_dim: int = 32
    """Dimensions of the noise."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=400, batch_size=64))


def change(x: Tensor) -> Tensor:
    """Images turned, scaled and shifted a little at random."""
    return random_affine(x, **CHANGES)


def few_of_each(images: Images, count: int, seed: int) -> Images:
    """`count` images of every class, drawn at random."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(images.y.device)
    chosen = [order[images.y[order] == label][:count] for label in range(len(images.classes))]
    fewest = min(len(part) for part in chosen)
    if fewest < count:
        raise UserError(f"{images.name} has only {fewest} training images of a class, fewer than {count}: see --sizes.")
    return images.where(torch.cat(chosen))


def build(shape: tuple[int, ...], classes: int, z_dim: int) -> GAN:
    config = GANConfig(adversarial="relativistic", z_dim=z_dim, classes=classes, r1=0.1, r2=0.1, betas=(0.0, 0.99))
    return convolutional_gan(config, shape, channels=16, augment=change)


class Way(NamedTuple):
    """What a classifier is trained on: images that are changed or not, half of them generated or none."""

    classical: bool
    generated: Images | None


def accuracy(real: Images, way: Way, test: Images, *, seed: int, steps: int) -> float:
    """The share of test images that a classifier gets right which was trained in this way."""
    torch.manual_seed(seed)
    classifier = Extractor(real.shape[0], len(real.classes)).to(real.x.device).train()
    optimizer = torch.optim.Adam(classifier.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        x, y = _draw(real, 64 if way.generated is None else 32)
        if way.generated is not None:
            more_x, more_y = _draw(way.generated, 32)
            x, y = torch.cat([x, more_x]), torch.cat([y, more_y])
        if way.classical:
            x = change(x)
        loss = F.cross_entropy(classifier.head(classifier(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    seen = classifier.eval().probabilities(test.x).argmax(1)
    return float((seen == test.y).double().mean())


def _draw(images: Images, count: int) -> tuple[Tensor, Tensor]:
    rows = torch.randint(len(images), (count,)).to(images.x.device)
    return images.x[rows], images.y[rows]


class Case(NamedTuple):
    """What came out for one size and one seed: a few images `(classes, 5, C, H, W)` of both kinds, and accuracies."""

    real: Tensor
    generated: Tensor
    accuracy: dict[str, float]


def one_case(run: Run, config: AugmentationRecipe, train: Images, test: Images, size: int, seed: int) -> Case:
    """Trains the GAN and the classifiers of one size and one seed; the accuracies are kept for a resumed run."""
    name = f"{size}-{seed}"
    real = few_of_each(train, size, seed)
    model = run.train(
        name,
        partial(build, train.shape, len(train.classes), config.z_dim),
        run.loader(seed, x=to_model(real.x), y=real.y),
        seed=seed,
        ema_decay=EMA_DECAY,
    )
    run.trainings_left -= 1  # the four classifiers, which take about as long
    labels = torch.arange(len(train.classes), device=train.y.device).repeat_interleave(GENERATED)
    fake = Images("generated", sample_images(model, len(labels), seed, labels), labels, train.classes)
    shown = [part.x.unflatten(0, (len(train.classes), -1))[:, :SHOWN] for part in (real, fake)]
    path = run.folder / name / "accuracy.json"
    if path.is_file():
        return Case(shown[0], shown[1], json.loads(path.read_bytes()))
    ways = (Way(False, None), Way(True, None), Way(False, fake), Way(True, fake))
    steps = run.steps(CLASSIFIER_STEPS)
    found = {key: accuracy(real, way, test, seed=seed, steps=steps) for key, way in zip(WAYS, ways, strict=True)}
    if name not in run.unfinished:
        write_atomically(path, json.dumps(found).encode())
    return Case(shown[0], shown[1], found)


def main(config: AugmentationRecipe) -> None:
    if not config.sizes or min(config.sizes) < 2 or config.seeds < 1:
        raise UserError("--sizes needs numbers of images from 2 on, and --seeds must be at least 1.")
    sizes, seeds = (config.sizes[:1], range(1)) if config.smoke else (config.sizes, range(config.seeds))
    with open_run(config, "augmentation", trainings=2 * len(sizes) * len(seeds)) as run:
        train, test = run.images()
        check_images(train, test, by_class=True)
        test = test.where(torch.arange(min(TESTED, len(test))))
        # All sizes of a seed before the next seed: a budget that ends early leaves whole seeds.
        cases = {(size, seed): one_case(run, config, train, test, size, seed) for seed in seeds for size in sizes}
        found = {key: case.accuracy for key, case in cases.items()}
        table = {size: {way: interval([found[size, seed][way] for seed in seeds]) for way in WAYS} for size in sizes}
        gains = {
            size: {
                f"{way} over {base}": interval([found[size, s][way] - found[size, s][base] for s in seeds])
                for way, base in (("generated", "real only"), ("generated", "classical"), ("both", "classical"))
            }
            for size in sizes
        }

        report = run.report(
            "Do generated images help where real ones are few?",
            f"{train.name}: so many images a class, drawn anew for each of {len(seeds)} seeds; accuracy on {len(test)} "
            "test images of a classifier trained on them in four ways.",
        )
        picture = accuracy_picture(table)
        report.figure(picture, f"Test accuracy, with 95 % intervals over {len(seeds)} seeds")
        report.table(
            [[size, *(str(value).lstrip("+") for value in row.values())] for size, row in table.items()],
            ["real images a class", *WAYS],
        )
        report.heading("Gain in accuracy, seed by seed")
        report.table(
            [[size, *map(str, row.values())] for size, row in gains.items()],
            ["real images a class", *next(iter(gains.values()))],
        )
        report.text(verdict(gains))
        for size in sizes:
            case = cases[size, 0]
            caption = f"{size} real images a class: on the left some of them, on the right what is drawn after them"
            report.figure(image_grid(torch.cat([case.real, case.generated], dim=1), rows=train.classes), caption)
        results = {
            "data": train.name,
            "accuracy": {size: {way: value._asdict() for way, value in row.items()} for size, row in table.items()},
            "gain": {size: {name: value._asdict() for name, value in row.items()} for size, row in gains.items()},
            "seeds": len(seeds),
        }
        run.save(report, results, picture)


def verdict(gains: dict[int, dict[str, Interval]]) -> str:
    """In words, for which sizes each gain is more than its interval, on which side of zero."""
    lines = []
    for name in next(iter(gains.values())):
        signs = {size: _sign(row[name]) for size, row in gains.items()}
        parts = [
            f"{word} with {', '.join(map(str, chosen))}"
            for word, sign in (("a gain", 1), ("no clear difference", 0), ("a loss", -1))
            if (chosen := [size for size in signs if signs[size] == sign])
        ]
        lines.append(f"{name}: {'; '.join(parts)} real images a class.")
    return "\n".join(lines)


def _sign(gain: Interval) -> int:
    if gain.half is None or abs(gain.mean) <= gain.half:
        return 0
    return 1 if gain.mean > 0 else -1


def accuracy_picture(table: dict[int, dict[str, Interval]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for index, way in enumerate(WAYS):
        rows = [row[way] for row in table.values()]
        # Side by side, so that the intervals do not cover each other.
        at = [size * 1.03 ** (index - 1.5) for size in table]
        axes.errorbar(at, [row.mean for row in rows], [row.half or 0 for row in rows], marker="o", capsize=3, label=way)
    axes.set_xscale("log")
    axes.set_xticks(list(table), [str(size) for size in table])
    axes.minorticks_off()
    axes.set(xlabel="real images a class", ylabel="test accuracy")
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(AugmentationRecipe, main, __doc__))
