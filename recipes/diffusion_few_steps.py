"""Distils a diffusion model of twenty steps into a student that draws in one to four.

    python -m recipes.diffusion_mnist --data datasets --run runs/diffusion_mnist
    python -m recipes.diffusion_few_steps --data datasets --teacher runs/diffusion_mnist

By consistency distillation (Song et al. 2023) the student learns to predict at once where the guided teacher's steps
lead. The report shows what both make of the same noise. For each number of steps it gives the FID, with our own
extractor, and how often our own classifier recognises the requested class.

Should reach: at 4 steps an FID within 1.5 times that of the teacher's 20. Without --teacher one is trained first, in
half of the budget; without --data, on the digits of scikit-learn. `--smoke` takes seconds.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative_core import ConsistencyConfig, ConsistencyStudent, Diffusion
from generative_core.metrics import fid
from recipes.common.command import run_recipe
from recipes.common.diffusion import DiffusionRecipe, draw, load_diffusion, quick, seeded_noise
from recipes.common.extractor import train_extractor
from recipes.common.gan import SCORED, check_images, to_images, to_model
from recipes.common.image_figures import image_grid
from recipes.common.image_run import TrainOptions, open_run
from recipes.conditional_gan import same_classes
from recipes.diffusion_mnist import train_by_class
from voiceconv.errors import UserError

STUDENT_STEPS = (1, 2, 4)
SHOWN = 12


@dataclass(frozen=True)
class FewSteps(DiffusionRecipe):
    """A student of a diffusion model by class."""

    teacher: Path | None = None
    """Run folder of recipes.diffusion_mnist; trained first unless given."""
    teacher_steps: int = 24
    """Number of steps into which the student divides the teacher's path from noise to sample."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=4000, batch_size=128))


def guided(teacher: Diffusion, guidance: float, x: Tensor, sigma: Tensor, condition: dict[str, Tensor]) -> Tensor:
    return teacher.guided(x, sigma, condition, guidance=guidance)


def main(config: FewSteps) -> None:
    with open_run(config, "diffusion_few_steps", trainings=1 + (config.teacher is None)) as run:
        config = quick(config)
        train, test = run.images()
        check_images(train, test, by_class=True)
        if config.teacher is None:
            teacher = train_by_class(run, config, train)
        else:
            teacher = load_diffusion(config.teacher).to(run.device)
            if teacher.config.shape != train.shape or teacher.config.classes != len(train.classes):
                raise UserError(
                    f"{config.teacher} draws {teacher.config.classes} classes of the shape {teacher.config.shape}, but "
                    f"these images are of {len(train.classes)} classes and of the shape {train.shape}. Give the --data "
                    "it was trained on."
                )
        # A teacher's run has an extractor already, and its figures are from it.
        extractor = train_extractor(train, test, config.teacher or run.folder, steps=run.steps(800))
        setup = ConsistencyConfig(teacher.config, steps=config.teacher_steps)
        family = run.train(
            "student",
            lambda: ConsistencyStudent(
                setup, copy.deepcopy(teacher).requires_grad_(True), partial(guided, teacher, config.guidance)
            ),
            run.loader(x=to_model(train.x), y=train.y),
            decay_steps=run.steps(config.train.steps) // 3,
            ema_width=config.ema_width,
        )
        student = family.student

        y = test.y[:SCORED]
        real, twins = test.x[:SCORED], same_classes(train, y)
        teacher_options: dict[str, Any] = {"sampler": config.sampler, "guidance": config.guidance}
        settings: list[tuple[str, Diffusion, int, dict[str, Any]]]
        settings = [("teacher", teacher, steps, teacher_options) for steps in (*STUDENT_STEPS, config.sampling_steps)]
        settings += [("student", student, steps, {"sampler": "consistency"}) for steps in STUDENT_STEPS]
        rows: list[list[object]] = []
        grid, labels = [], []
        for name, model, steps, options in settings:
            x = draw(model, len(y), config.seed, {"y": y}, steps=steps, precision=run.precision, **options)
            images = to_images(x)
            seen = extractor.probabilities(images).argmax(1)
            rows.append([name, steps, fid(real, images, extractor), float((seen == y).double().mean())])
            shown = torch.arange(SHOWN) % len(train.classes)
            noise = seeded_noise(SHOWN, train.shape, config.seed)
            torch.manual_seed(config.seed)
            grid.append(to_images(model.sample(SHOWN, {"y": shown}, steps=steps, noise=noise, **options)))
            labels.append(f"{name}, {steps} step{'s' * (steps > 1)}")
        seen = extractor.probabilities(real).argmax(1)
        rows.append(["real images", None, fid(real, twins, extractor), float((seen == y).double().mean())])

        report = run.report(
            "Samples in few steps",
            f"{train.name}, {len(train.classes)} classes; {teacher.config.formulation}, a student of the teacher with "
            f"guidance {config.guidance:g}.",
        )
        picture = image_grid(torch.stack(grid), rows=labels)
        report.figure(picture, "The same noise and classes in every row; not selected")
        report.table(rows, ["", "steps", "FID", "seen as asked for"])
        report.text(f"Classifier and features: {extractor.name}. FID is between {len(y)} samples and as many images.")
        header = ("name", "steps", "fid", "accuracy")
        results = {"data": train.name, "extractor": extractor.name}
        run.save(report, {**results, "scores": [dict(zip(header, row, strict=True)) for row in rows]}, picture)


if __name__ == "__main__":
    sys.exit(run_recipe(FewSteps, main, __doc__))
