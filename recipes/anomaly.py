"""Detects outliers with a VAE that was trained without them.

    python -m recipes.anomaly --data datasets --download
    python -m recipes.anomaly --data emoji

For every class a VAE is trained on all the others. Test images are then scored by their reconstruction error, by the
ELBO, and by the distance of their codes from the others; the class left out should score highest. With emoji there is
one model, trained on people and tested against everything else. The report gives the AUROC of each score: 1 is perfect,
0.5 is chance. A folder with one folder of images per class is treated like digits. Without --data the digits are
scikit-learn's.

Must reach: on MNIST, a mean AUROC above 0.8 for the ELBO; the digit 1 is known to be hard, since it is the easiest
to reconstruct. It stops after ten minutes unless `--budget` says otherwise. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from generative_core import VAE, VAEConfig
from generative_core.metrics import auroc
from generative_core.nets import MLPDecoder, MLPEncoder
from recipes.common.command import run_recipe
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid
from recipes.common.image_run import ImageConfig, TrainOptions, open_run
from voiceconv.errors import UserError

SHOWN = 12
PEOPLE = "People & Body"
DRAWS = 5  # of the latent, for the ELBO of an image


@dataclass(frozen=True)
class AnomalyRecipe(ImageConfig):
    """A VAE for each class that is left out."""

    latent: int = 10
    """Latent dimensions of a VAE."""
    sigma: float = 0.15
    """Standard deviation of the Gaussian likelihood."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=1500))


class Case(NamedTuple):
    """What is trained on, and what should then be told apart from what."""

    outlier: str
    train: Images
    inliers: Images
    outliers: Images


def cases(train: Images, test: Images) -> list[Case]:
    """People against all else for emoji, otherwise each class against all others."""
    if len(train.classes) < 2:
        raise UserError("Outliers need classes: put every class of images into a folder of its own.")
    people = train.classes.index(PEOPLE) if PEOPLE in train.classes else None
    found = []
    for number in range(len(train.classes)) if people is None else [people]:
        out, name = (test.y == number, train.classes[number])
        inside = train.y != number
        if people is not None:
            out, inside, name = ~out, ~inside, "anything but people"
        if not out.any() or out.all() or not inside.any():
            raise UserError(f"There are not enough images to test {name} against the rest.")
        found.append(Case(name, train.where(inside), test.where(~out), test.where(out)))
    return found


def build(config: AnomalyRecipe, shape: tuple[int, ...]) -> VAE:
    encoder = MLPEncoder(shape=shape, outputs=2 * config.latent)
    decoder = nn.Sequential(MLPDecoder(shape=shape, latent=config.latent), nn.Sigmoid())
    settings = VAEConfig(latent=config.latent, likelihood="gaussian", sigma=config.sigma)
    return VAE(settings, encoder=encoder, decoder=decoder)


def scores(model: VAE, train: Images, seed: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """The outlier scores, each a function of images `(B, ...)` that gives `(B,)`, higher for what is stranger."""
    codes = model.encode(train.x)
    mean, precision = codes.mean(0), torch.linalg.pinv(codes.T.cov())

    def error(x: Tensor) -> Tensor:
        return (model.reconstruct(x) - x).square().flatten(1).mean(1)

    def negative_elbo(x: Tensor) -> Tensor:
        torch.manual_seed(seed)
        draws = [model.elbo(x) for _ in range(DRAWS)]
        return -torch.stack([draw.reconstruction - draw.kl.sum(1) for draw in draws]).mean(0)

    def distance(x: Tensor) -> Tensor:
        away = model.encode(x) - mean
        return (away @ precision * away).sum(1)  # Mahalanobis, squared

    return {"reconstruction error": error, "negative ELBO": negative_elbo, "latent distance": distance}


def main(config: AnomalyRecipe) -> None:
    with open_run(config, "anomaly", trainings=1) as run:
        found = cases(*run.images())
        run.trainings_left = len(found)
        areas: dict[str, dict[str, float]] = {}
        strips, strangest, most_usual = [], [], []
        for case in found:
            builder = partial(build, config, case.train.shape)
            model = run.train(f"without-{case.outlier.replace(' ', '-')}", builder, run.loader(x=case.train.x))
            ways = scores(model, case.train, config.seed)
            areas[case.outlier] = {name: auroc(way(case.inliers.x), way(case.outliers.x)) for name, way in ways.items()}
            shown = case.outliers.x[: SHOWN // 2]
            strips.append(torch.stack([shown, model.reconstruct(shown)], dim=1).flatten(0, 1))
            both = torch.cat([case.inliers.x, case.outliers.x])
            order = ways["negative ELBO"](both).argsort(descending=True)
            strangest.append(both[order[:SHOWN]])
            most_usual.append(both[order.flip(0)[:SHOWN]])

        names = list(next(iter(areas.values())))
        means = {name: sum(area[name] for area in areas.values()) / len(areas) for name in names}
        report = run.report(
            "Outliers by what a VAE makes of them",
            f"{found[0].train.name}. Each model has seen every class but one (with emoji: people alone) and is shown "
            "test images of all. Scores are compared by AUROC: the chance that an outlier scores above an inlier.",
        )
        picture = _bars(areas, means)
        report.figure(picture, "AUROC of each score and each class left out; 0.5 is chance")
        rows = [[outlier, *area.values()] for outlier, area in areas.items()]
        report.table([*rows, ["mean", *means.values()]], ["left out", *names])
        fitting = [strip for strip in strips if len(strip) == len(strips[0])]
        labels = [case.outlier for case, strip in zip(found, strips, strict=True) if len(strip) == len(strips[0])]
        report.figure(
            image_grid(torch.stack(fitting), rows=labels), "Outliers, and beside each what the model makes of it"
        )
        if len(found) > 1:
            grid = image_grid(torch.stack(strangest), rows=[case.outlier for case in found])
            report.figure(grid, "The test images with the lowest ELBO; an image of the class left out is right")
        else:  # three bars are no picture
            picture = image_grid(
                torch.cat([torch.stack(strangest), torch.stack(most_usual)]), rows=["lowest ELBO", "highest"]
            )
            report.figure(
                picture, f"The test images with the lowest and the highest ELBO; {found[0].outlier} belongs above"
            )
        run.save(report, {"data": found[0].train.name, "auroc": areas, "mean_auroc": means}, picture)


def _bars(areas: dict[str, dict[str, float]], means: dict[str, float]) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    rows = {**areas, "mean": means} if len(areas) > 1 else areas
    width = 0.8 / len(means)
    for index, name in enumerate(means):
        places = [place + (index - 1) * width for place in range(len(rows))]
        axes.bar(places, [area[name] for area in rows.values()], width, label=name)
    axes.axhline(0.5, color="C7", linewidth=0.8)
    axes.set_xticks(range(len(rows)), list(rows))
    axes.set(ylim=(0, 1), xlabel="left out", ylabel="AUROC")
    axes.legend(frameon=False, ncols=len(means), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(AnomalyRecipe, main, __doc__))
