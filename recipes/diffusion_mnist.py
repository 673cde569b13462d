"""Generates digits of a requested class with a diffusion model.

    python -m recipes.diffusion_mnist --data datasets --download

One network learns to remove noise with and without the class; sampling extrapolates from one to the other
(classifier-free guidance). The report shows every class from the same noise, how a digit emerges, and what guidance and
samplers change. It gives the FID, with our own extractor, beside that of real images against real ones, and how often
our own classifier recognises the requested class. `--formulation edm` trains the other formulation.

Should reach: with guidance, 99 % recognised as the requested digit, and in 20 steps an FID within twice that of real
images. The defaults are for one core of a CPU and take it 26 minutes on MNIST (`--budget 30m`); a GPU has time for
`--channels 64 --train.steps 20000 --train.batch-size 128`. Without --data it takes the digits of scikit-learn; any
folder with one folder of images for each class will do. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import Diffusion, DiffusionConfig
from generative_core.metrics import fid
from generative_core.samplers import ddim
from generative_core.training.precision import Precision
from recipes.common.command import run_recipe
from recipes.common.diffusion import DiffusionRecipe, diffusion_unet, draw, quick, seeded_noise
from recipes.common.extractor import Extractor, train_extractor
from recipes.common.gan import SCORE_HEADER, SCORED, check_images, score, to_images, to_model
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid
from recipes.common.image_run import Run, TrainOptions, open_run
from recipes.conditional_gan import same_classes

SHOWN = 12
COMPARED = 300  # samples for each row of the tables of samplers and of guidance
SAMPLERS = ("euler", "heun", "ddim", "dpm-solver++")
STEPS = (5, 10, 20)
GUIDANCE = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True)
class DiffusionMNIST(DiffusionRecipe):
    """A diffusion model with a class condition."""

    channels: int = 24
    """Channels of the network's first layers; the others have twice as many. 24 suits a CPU, 128 a GPU."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=2700, batch_size=64))


def train_by_class(run: Run, config: DiffusionRecipe, train: Images) -> Diffusion:
    """A model for images and their classes, trained in the folder `diffusion` of the run."""
    setup = DiffusionConfig(shape=train.shape, formulation=config.formulation, classes=len(train.classes))
    return run.train(
        "diffusion",
        lambda: diffusion_unet(setup, channels=config.channels),
        run.loader(x=to_model(train.x), y=train.y),
        warmup_steps=100,
        decay_steps=run.steps(config.train.steps) // 3,
        ema_width=config.ema_width,
    )


class Scorer:
    """Scores samples: FID against the first test images, and the share recognised as the requested class."""

    def __init__(
        self, model: Diffusion, config: DiffusionRecipe, test: Images, extractor: Extractor, precision: Precision
    ) -> None:
        self.model, self.config, self.test, self.extractor = model, config, test, extractor
        self.precision = precision

    def samples(self, count: int, **options: Any) -> Tensor:
        """Of the classes of the first test images, by these options of `Diffusion.sample`."""
        y = self.test.y[:count]
        return to_images(draw(self.model, len(y), self.config.seed, {"y": y}, precision=self.precision, **options))

    def accuracy(self, images: Tensor) -> float:
        return float((self.extractor.probabilities(images).argmax(1) == self.test.y[: len(images)]).double().mean())

    def row(self, count: int, *, steps: int, sampler: str, guidance: float) -> list[float]:
        images = self.samples(count, steps=steps, sampler=sampler, guidance=guidance)
        return [fid(self.test.x[: len(images)], images, self.extractor), self.accuracy(images)]


def main(config: DiffusionMNIST) -> None:
    with open_run(config, "diffusion_mnist", trainings=1) as run:
        config = quick(config)
        train, test = run.images()
        check_images(train, test, by_class=True)
        extractor = train_extractor(train, test, run.folder, steps=run.steps(800))
        model = train_by_class(run, config, train)

        scorer = Scorer(model, config, test, extractor, run.precision)
        options: dict[str, Any] = {"steps": config.sampling_steps, "sampler": config.sampler}
        twins = same_classes(train, test.y)
        rows: list[list[object]] = []
        for name, guidance in (("unguided", 1.0), (f"guidance {config.guidance:g}", config.guidance)):
            images = scorer.samples(SCORED, **options, guidance=guidance)
            rows.append([name, *score(test.x[: len(images)], images, extractor), scorer.accuracy(images)])
        scored = slice(SCORED)
        rows.append(["real images", *score(test.x[scored], twins[scored], extractor), scorer.accuracy(test.x[scored])])

        few, steps = (20, (2,)) if config.smoke else (COMPARED, STEPS)
        floor = fid(test.x[:few], twins[:few], extractor)
        by_sampler = [
            [
                name,
                count,
                2 * count - 1 if name == "heun" else count,
                *scorer.row(few, steps=count, sampler=name, guidance=1.0),
            ]
            for name in SAMPLERS
            for count in steps
        ]
        by_guidance = [[scale, *scorer.row(few, **options, guidance=scale)] for scale in GUIDANCE]

        report = run.report(
            "Digits from noise" if train.classes == tuple("0123456789") else "Images from noise, by class",
            f"{train.name}: {len(train)} images of {len(train.classes)} classes to train on, {len(test)} to test on; "
            f"{config.formulation}.",
        )
        picture = classes_picture(model, train.classes, config)
        report.figure(picture, "Each row is one class, each column the same noise for all of them; not selected")
        report.figure(emergence(model, config), "What the network expects to come out, from pure noise on")
        header = ["", *SCORE_HEADER, "seen as asked for"]
        report.table(rows, header)
        report.text(
            f"{config.sampling_steps} steps of {config.sampler}. Classifier and features: {extractor.name}. FID is "
            f"between {min(SCORED, len(test))} samples and as many test images, and for real images between training "
            "and test images."
        )
        report.heading("Samplers and steps")
        report.table(by_sampler, ["sampler", "steps", "evaluations", "FID", "seen as asked for"])
        report.heading("Guidance")
        report.table(by_guidance, ["guidance", "FID", "seen as asked for"])
        report.text(f"Both tables are from {few} samples, with which real images have an FID of {floor:.3g}.")
        results = {
            "data": train.name,
            "extractor": extractor.name,
            "scores": [dict(zip(["name", *header[1:]], row, strict=True)) for row in rows],
            "samplers": by_sampler,
            "guidance": by_guidance,
            "floor_of_tables": floor,
        }
        run.save(report, results, picture)


def classes_picture(model: Diffusion, classes: tuple[str, ...], config: DiffusionRecipe) -> Figure:
    noise = seeded_noise(SHOWN, model.config.shape, config.seed)
    rows = [
        to_images(
            model.sample(
                SHOWN,
                {"y": torch.full((SHOWN,), label)},
                steps=config.sampling_steps,
                sampler=config.sampler,
                guidance=config.guidance,
                noise=noise,
            )
        )
        for label in range(len(classes))
    ]
    return image_grid(torch.stack(rows), rows=classes)


@torch.no_grad()
def emergence(model: Diffusion, config: DiffusionRecipe, rows: int = 3) -> Figure:
    """The estimates at every other level on the way of some samples."""
    condition = {"y": torch.arange(rows) % model.config.classes}
    estimates = []

    def remember(x: Tensor, sigma: Tensor) -> Tensor:
        estimates.append(model.guided(x, sigma, condition, guidance=config.guidance))
        return estimates[-1]

    sigmas = model.formulation.sampling_sigmas(2 * SHOWN).to(next(model.parameters()).device)
    noise = seeded_noise(rows, model.config.shape, config.seed).to(sigmas.device)
    ddim(remember, sigmas[0] * noise, sigmas, model.formulation.alpha(sigmas))
    return image_grid(to_images(torch.stack(estimates[1::2], dim=1)))


if __name__ == "__main__":
    sys.exit(run_recipe(DiffusionMNIST, main, __doc__))
