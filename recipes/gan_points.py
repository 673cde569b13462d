"""Animates how a GAN moves generated points onto real ones.

    python -m recipes.gan_points
    python -m recipes.gan_points --data measurements.csv

The animation shows, on one axis and in the plane, a generator that starts with its points in the wrong place, and a
discriminator whose probability of "real" is drawn beneath them. They train each other until the points are where the
real ones are and the probability is one half. The points are measurements of 150 irises (Fisher 1936; from
scikit-learn): the length of the petals, and in the plane also the width of the sepals. `--data` names a CSV file whose
first two columns of numbers are used instead.

Leaves `animation.gif` and `animation.mp4` beside `report.html`. Should reach: a distance of at most three times the
floor, that of as many real points drawn at random (Wasserstein distance on the axis, energy distance in the plane).
Takes less than a minute on two cores.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from torch import Tensor

from generative_core import GAN, GANConfig, TensorLoader
from generative_core.metrics import energy_distance
from generative_core.nets import MLPDecoder, MLPEncoder
from generative_core.training.callbacks import Callback
from generative_core.training.protocols import Training
from recipes.common.animation import rasterise, write_gif, write_mp4
from recipes.common.command import run_recipe
from recipes.common.image_run import ImageConfig, Run, TrainOptions, open_run
from voiceconv.errors import UserError

FRAMES = 100
RATE = 12  # frames a second
SHOWN = 300  # generated points in a picture
SCORED = 1000  # generated points in a distance
REAL, FAKE = "#2a9d5c", "#e07b1a"
FEWEST_POINTS = 20


@dataclass(frozen=True)
class PointsConfig(ImageConfig):
    """Points of one and of two dimensions."""

    data: Path | None = None
    """CSV file with a header and at least two columns of numbers; the irises of scikit-learn unless given."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=3000, batch_size=128))


class Points(NamedTuple):
    """Real points `(N, D)` with mean 0 and deviation 1, and what their axes are called."""

    x: Tensor
    names: tuple[str, ...]


def iris_points() -> tuple[Points, Points]:
    """Petal lengths, and petal lengths with sepal widths; each flower as eight that differ within the 0.1 cm that
    the measurements were rounded to."""
    from sklearn.datasets import load_iris

    table = torch.from_numpy(load_iris().data).float().repeat(8, 1)
    table = table + 0.1 * (torch.rand(table.shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    return _points(table[:, 2:3], ("petal length",)), _points(table[:, [2, 1]], ("petal length", "sepal width"))


def csv_points(path: Path) -> tuple[Points, Points]:
    """The first column of numbers, and the first two."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        columns = {name: _numbers(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)}
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a table: a line of names, then lines of as many values ({error}).") from error
    numeric = [(name, values) for name, values in columns.items() if values is not None and len(set(values)) > 1]
    if len(numeric) < 2 or len(rows) < FEWEST_POINTS:
        raise UserError(
            f"{path} has {len(rows)} lines and {len(numeric)} columns of numbers that vary; at least {FEWEST_POINTS} "
            "lines and two such columns are needed."
        )
    names = tuple(name for name, _ in numeric[:2])
    table = torch.tensor([values for _, values in numeric[:2]]).T
    return _points(table[:, :1], names[:1]), _points(table, names)


def _numbers(values: tuple[str, ...]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _points(x: Tensor, names: tuple[str, ...]) -> Points:
    return Points((x - x.mean(0)) / x.std(0), names)


def distance(real: Tensor, fake: Tensor) -> float:
    """Wasserstein distance of points on an axis, energy distance in the plane."""
    if real.shape[1] == 1:
        return float(wasserstein_distance(real[:, 0], fake[:, 0]))
    return energy_distance(real, fake)


def floor(real: Tensor) -> float:
    """How far real points drawn at random are from all of them: the mean of ten draws."""
    random = torch.Generator().manual_seed(0)
    draws = [real[torch.randint(len(real), (SCORED,), generator=random)] for _ in range(10)]
    return float(np.mean([distance(real, draw) for draw in draws]))


def grid(dimensions: int, side: int = 60) -> Tensor:
    """Places `(side**dimensions, dimensions)` all over the picture, row by row from below."""
    line = torch.linspace(-3, 3, side if dimensions == 2 else 4 * side)
    if dimensions == 1:
        return line[:, None]
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


class Snapshots(Callback):
    """Writes to `folder` at `FRAMES` steps, more often early on, what the generator makes of the same noise each time,
    the discriminator's probability of "real" all over the picture, and the distance to the real points."""

    def __init__(self, folder: Path, real: Tensor) -> None:
        self.folder = folder
        self.real = real

    def on_start(self, trainer: Training) -> None:
        shares = [(frame / FRAMES) ** 2 for frame in range(1, FRAMES + 1)]
        self.at = {max(1, round(trainer.config.steps * share)) for share in shares}
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_step(self, trainer: Training, scalars: object) -> None:
        if trainer.step not in self.at:
            return
        model = trainer.module
        assert isinstance(model, GAN)
        torch.manual_seed(0)
        fake = model.sample(SCORED).cpu()
        with torch.no_grad():
            probability = model.discriminator(grid(self.real.shape[1]).to(trainer.device)).sigmoid()[:, 0].cpu()
        np.savez(
            self.folder / f"{trainer.step:06d}.npz",
            fake=fake[:SHOWN],
            probability=probability,
            distance=distance(self.real, fake),
        )


def points_gan(dimensions: int) -> GAN:
    config = GANConfig(
        adversarial="non-saturating", z_dim=dimensions, r1=0.1, generator_rate=1e-3, discriminator_rate=2e-3
    )
    return GAN(
        config,
        generator=lambda: MLPDecoder(shape=(dimensions,), latent=dimensions, hidden=(64, 64, 64)),
        discriminator=lambda: MLPEncoder(shape=(dimensions,), outputs=1, hidden=(64, 64, 64)),
    )


def train_points(run: Run, points: Points, name: str) -> GAN:
    return run.train(
        name,
        lambda: points_gan(points.x.shape[1]),
        TensorLoader({"x": points.x}, run.config.train.batch_size, seed=run.config.seed),
        callbacks=[Snapshots(run.folder / name / "frames", points.x)],
        decay_steps=run.config.train.steps // 2,
    )


class Film(NamedTuple):
    """The snapshots of one training in their order."""

    steps: list[int]
    fakes: list[NDArray[np.float32]]
    probabilities: list[NDArray[np.float32]]
    distances: list[float]


def read_film(folder: Path) -> Film:
    film = Film([], [], [], [])
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as snapshot:
            film.steps.append(int(path.stem))
            film.fakes.append(snapshot["fake"])
            film.probabilities.append(snapshot["probability"])
            film.distances.append(float(snapshot["distance"]))
    return film


def draw(
    figure: Figure, frame: int, sets: tuple[Points, Points], films: tuple[Film, Film], floors: list[float]
) -> None:
    """One frame: the axis and the probability beneath it, the plane on top of its probability, and the distances."""
    figure.clear()
    layout = figure.add_gridspec(
        3, 2, height_ratios=(3, 1.4, 1.4), width_ratios=(1.15, 1), hspace=0.5, wspace=0.22,
        left=0.07, right=0.97, top=0.92, bottom=0.1,
    )  # fmt: skip
    line, plane = films
    figure.suptitle(f"step {line.steps[frame]}", fontsize=11, x=0.07, ha="left", family="monospace")
    _draw_line(figure.add_subplot(layout[0, 0]), sets[0], line.fakes[frame])
    _draw_probability(figure.add_subplot(layout[1, 0]), line.probabilities[frame])
    draw_plane(figure.add_subplot(layout[0:2, 1]), sets[1], plane.fakes[frame], plane.probabilities[frame])
    for column, (film, bottom, name) in enumerate(zip(films, floors, ("Wasserstein", "energy"), strict=True)):
        axes = figure.add_subplot(layout[2, column])
        axes.semilogy(film.steps, film.distances, color="0.8", linewidth=1)
        axes.semilogy(film.steps[: frame + 1], film.distances[: frame + 1], color=FAKE)
        axes.axhline(bottom, color=REAL, linestyle=":", label="real points drawn at random")
        axes.set_xlabel("step")
        axes.set_ylabel(f"{name} distance", fontsize=8)
        axes.legend(fontsize=7, frameon=False, loc="upper right")


def _draw_line(axes: Axes, points: Points, fake: NDArray[np.float32]) -> None:
    bins = np.linspace(-3, 3, 61)
    for x, name, colour, height in ((points.x.numpy(), "real", REAL, -0.05), (fake, "generated", FAKE, -0.12)):
        values = x[:, 0].clip(-3, 3)
        axes.hist(values, bins.tolist(), density=True, color=colour, alpha=0.45, label=name)
        axes.plot(values[:SHOWN], np.full(len(values[:SHOWN]), height), "|", color=colour, markersize=5)
    axes.set(xlim=(-3, 3), ylim=(-0.17, 2.2), yticks=[], xlabel=points.names[0])
    axes.legend(fontsize=8, frameon=False, loc="upper right")


def _draw_probability(axes: Axes, probability: NDArray[np.float32]) -> None:
    line = grid(1)[:, 0].numpy()
    axes.plot(line, probability, color="#3b6fb6")
    axes.fill_between(line, probability, color="#3b6fb6", alpha=0.2)
    axes.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    axes.set(xlim=(-3, 3), ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.set_ylabel("taken for real", fontsize=8)


def draw_plane(axes: Axes, points: Points, fake: NDArray[np.float32], probability: NDArray[np.float32]) -> None:
    side = round(len(probability) ** 0.5)
    picture = axes.imshow(
        probability.reshape(side, side), origin="lower", extent=(-3, 3, -3, 3), vmin=0, vmax=1, cmap="Blues", alpha=0.8,
        aspect="auto",
    )  # fmt: skip
    real = points.x[:SHOWN].numpy()
    axes.plot(real[:, 0], real[:, 1], ".", color=REAL, markersize=4)
    axes.plot(fake[:, 0], fake[:, 1], ".", color=FAKE, markersize=4)
    axes.set(xlim=(-3, 3), ylim=(-3, 3), xlabel=points.names[0], ylabel=points.names[1])
    axes.figure.colorbar(picture, ax=axes, fraction=0.04, pad=0.02, label="taken for real")


def main(config: PointsConfig) -> None:
    if config.download:
        raise UserError(
            "There is nothing to download: the irises come with scikit-learn, and --data names your own file."
        )
    sets = iris_points() if config.data is None else csv_points(config.data)
    with open_run(config, "gan_points", trainings=2) as run:
        models = [train_points(run, points, name) for points, name in zip(sets, ("line", "plane"), strict=True)]
        films = (read_film(run.folder / "line" / "frames"), read_film(run.folder / "plane" / "frames"))
        floors = [floor(points.x) for points in sets]
        frames = []
        figure = Figure(figsize=(9.6, 5.4), dpi=100)
        for frame in range(min(len(film.steps) for film in films)):
            draw(figure, frame, sets, films, floors)
            frames.append(rasterise(figure))
        write_gif(run.folder / "animation.gif", frames, RATE)
        write_mp4(run.folder / "animation.mp4", frames, RATE)

        rows = []
        for index, name in enumerate(("on the axis, Wasserstein", "in the plane, energy")):
            averaged = distance(sets[index].x, models[index].sample(SCORED).cpu())
            rows.append((name, films[index].distances[0], films[index].distances[-1], averaged, floors[index]))
        report = run.report(
            "Generated points meet real ones",
            f"{len(sets[0].x)} real points: {sets[0].names[0]} on the axis, with {sets[1].names[1]} in the plane. "
            "The discriminator pushes the generated points to where it takes them for real; once they are spread like "
            "the real ones it can only answer one half.",
        )
        report.image(
            (run.folder / "animation.gif").read_bytes(), "image/gif", "Real and generated points as they train"
        )
        report.heading("Distance to the real points")
        report.table(rows, ("distance", "at the first step", "at the end", "with averaged weights", "real, at random"))
        header = ("first", "last", "averaged", "floor")
        run.save(report, {name: dict(zip(header, values, strict=True)) for name, *values in rows}, figure)


if __name__ == "__main__":
    sys.exit(run_recipe(PointsConfig, main, __doc__))
