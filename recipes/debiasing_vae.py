"""Trains a classifier that finds rare groups by itself and draws them more often (DB-VAE, Amini et al. 2019).

    python -m recipes.debiasing_vae --data emoji

Distinguishes people from everything else in drawings of emoji. Among the people to train on, the two darkest skin tones
are made rare on purpose; the test has equally many of each. A standard classifier is compared with DB-VAEs, whose
encoder also learns the latent structure of people, and which draw those more often that lie in sparse regions of it, at
several alphas and ten seeds. The report shows whom they draw most and least. It measures how many of each group are
recognised, and how much else is taken for people. The groups are used to measure, never to train.

`--data` is a folder of emoji drawings with emoji.json (`recipes/common/image_data.py` says what it holds), CelebA as
torchvision lays it out, or a folder of images with attributes.csv: a column `image` and columns of 0 and 1, of which
`--label` says what to recognise and `--group` what to make rare among it.

Must reach: a smaller gap between the best and the worst recognised group than the standard classifier's, at some alpha,
by more than the 95 % interval of the difference over seeds. It stops after ten minutes unless `--budget` says
otherwise. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from generative_core import DebiasingVAE, DebiasingVAEConfig
from generative_core.families.debiasing_vae import resampling_weights
from generative_core.nets import ConvDecoder, ConvEncoder
from generative_core.training.callbacks import Callback
from generative_core.training.data import TensorLoader
from generative_core.training.protocols import Training
from recipes.common.command import run_recipe
from recipes.common.image_figures import image_grid
from recipes.common.image_groups import Groups, emoji_groups, image_groups, synthetic_groups
from recipes.common.image_run import ImageConfig, Run, TrainOptions, open_run, shape_error
from recipes.common.intervals import interval
from voiceconv.errors import UserError

SIZE = 32
SHOWN = 24
# Of the likelihood. At 0.1 reconstruction outweighs the divergence so far that codes spread over several units: then
# densities are so small that an alpha either hides them or leaves a handful of images to draw.
SIGMA = 0.5
STANDARD = "standard"


@dataclass(frozen=True)
class DebiasingRecipe(ImageConfig):
    """A standard classifier and DB-VAEs, each with several seeds."""

    alphas: tuple[float, ...] = (1.0, 0.3, 0.1)
    """The smaller, the stronger the preference for what is rare."""
    seeds: int = 10
    """Models of each kind."""
    rare_share: float = 0.02
    """How many of the people of the rare groups are kept to train on."""
    label: str = "Smiling"
    """Attribute to recognise, for images with an attributes file."""
    group: str = "Male"
    """Attribute that is made rare among them, likewise."""
    latent: int = 8
    """Latent dimensions of the encoder."""
    resample_every: int = 50
    """Steps between two looks at the latent density."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=500, batch_size=64))


def build(config: DebiasingVAEConfig, shape: tuple[int, int, int]) -> DebiasingVAE:
    with shape_error():
        encoder = ConvEncoder(shape=shape, outputs=1 + 2 * config.latent, channels=16, layers=3)
        decoder = nn.Sequential(ConvDecoder(shape=shape, latent=config.latent, channels=16, layers=3), nn.Sigmoid())
    return DebiasingVAE(config, encoder=encoder, decoder=decoder)


def balanced_weights(positive: Tensor, among_positives: Tensor | None = None) -> Tensor:
    """How often to draw each sample so that half of a batch is positive, `(N,)`; `among_positives` adds up to one."""
    weights = torch.full((len(positive),), 0.5 / int((~positive).sum()), dtype=torch.float64)
    count = int(positive.sum())
    weights[positive] = 0.5 / count if among_positives is None else 0.5 * among_positives
    return weights


class Resampling(Callback):
    """Every so many steps, draws positives by the inverse of their latent density from there on."""

    def __init__(self, loader: TensorLoader, x: Tensor, positive: Tensor, alpha: float, every: int) -> None:
        self.loader, self.x, self.positive, self.alpha, self.every = loader, x, positive, alpha, every

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        if trainer.step % self.every == 0:
            assert isinstance(trainer.module, DebiasingVAE)
            among = latent_weights(trainer.module, self.x[self.positive.to(self.x.device)], self.alpha)
            self.loader.weights = balanced_weights(self.positive, among)


@torch.no_grad()
def latent_weights(model: DebiasingVAE, people: Tensor, alpha: float) -> Tensor:
    """How often each of the positive samples should be drawn."""
    return resampling_weights(torch.cat([model.encode(batch) for batch in people.split(500)]), alpha)


def train_one(run: Run, config: DebiasingRecipe, groups: Groups, alpha: float | None, seed: int) -> DebiasingVAE:
    """A DB-VAE, or for no alpha the same network as a plain classifier on evenly drawn people."""
    x, positive = groups.train_x.to(run.device), groups.train_group >= 0
    loader = run.loader(x=x, y=positive.to(run.device), seed=seed)
    loader.weights = balanced_weights(positive)
    settings = DebiasingVAEConfig(
        latent=config.latent,
        likelihood="gaussian",
        sigma=SIGMA,
        lambda_vae=1e-3 if alpha is not None else 0.0,
    )
    watching = [] if alpha is None else [Resampling(loader, x, positive, alpha, config.resample_every)]
    name = f"{STANDARD if alpha is None else f'alpha-{alpha:g}'}-seed-{seed}"
    builder = partial(build, settings, (3, SIZE, SIZE))
    return run.train(name, builder, loader, seed=seed, callbacks=watching)


def recognised(model: DebiasingVAE, groups: Groups, device: torch.device) -> Tensor:
    """Shares taken for positive, `(groups + 1,)`: of every group of the test, and last of the negatives."""
    x = groups.test_x.to(device)
    taken = torch.cat([model.classify(batch) > 0 for batch in x.split(500)]).cpu().double()
    return torch.stack([taken[groups.test_group == number].mean() for number in [*range(len(groups.names)), -1]])


def load(config: DebiasingRecipe) -> Groups:
    if config.data is None:
        if config.smoke:
            return synthetic_groups()
        raise UserError("Say where the images are: --data FOLDER, with emoji.json, attributes.csv or CelebA in it.")
    if (config.data / "emoji.json").is_file():
        return emoji_groups(config.data, SIZE, config.rare_share)
    return image_groups(config.data, SIZE, config.label, config.group, config.rare_share, download=config.download)


def main(config: DebiasingRecipe) -> None:
    if not config.alphas or min(config.alphas) <= 0 or not 0 < config.rare_share <= 1:
        raise UserError("--alphas are above 0, and --rare-share is above 0 and at most 1.")
    seeds = [config.seed + number for number in range(1 if config.smoke else config.seeds)]
    ways: dict[str, float | None] = {STANDARD: None, **{f"DB-VAE, alpha {a:g}": a for a in sorted(config.alphas)[::-1]}}
    with open_run(config, "debiasing_vae", trainings=len(ways) * len(seeds)) as run:
        groups = load(config)
        models = {(way, seed): train_one(run, config, groups, ways[way], seed) for seed in seeds for way in ways}
        rates = {
            way: torch.stack([recognised(models[way, seed], groups, run.device) for seed in seeds]) for way in ways
        }
        report = run.report(
            "Debiasing by latent density",
            f"{groups.name}: {groups.what} against all else. To train on there are {groups.count_words('train')} and "
            f"{int((groups.train_group < 0).sum())} other images; to test, {groups.count_words('test')} and "
            f"{int((groups.test_group < 0).sum())} others. Every figure is a mean over {len(seeds)} seeds.",
        )
        picture = _bars(rates, groups)
        report.figure(picture, "Share of each group that is recognised; the lines span all seeds")
        report.heading("Recognised, and missed")
        report.table([_row(way, of_way, rates[STANDARD]) for way, of_way in rates.items()], _header(groups))
        report.text(
            "The gap is between the group recognised best and the one recognised worst; smaller by how much, seed by "
            "seed, than the standard classifier's, with the 95 % interval of the mean. Balanced accuracy gives every "
            "group, and people and others, the same weight."
        )
        report.table(
            [[way, *(1 - of_way.mean(0)[:-1]).tolist(), float(of_way[:, -1].mean())] for way, of_way in rates.items()],
            ["", *(f"missed, {name}" for name in groups.names), "false alarms"],
        )
        smallest = f"DB-VAE, alpha {min(config.alphas):g}"
        people = groups.train_x[groups.train_group >= 0]
        weights = latent_weights(models[smallest, seeds[0]], people.to(run.device), min(config.alphas))
        order = weights.argsort(descending=True)
        shown = [people[order[:SHOWN]], people[order.flip(0)[:SHOWN]]]
        strips = torch.cat([images.unflatten(0, (2, -1)) for images in shown])
        report.figure(
            image_grid(strips, rows=["most often", "", "least often", ""]), f"Whom the {smallest} draws most and least"
        )
        drawn = [
            float(weights[groups.train_group[groups.train_group >= 0] == i].sum()) for i in range(len(groups.names))
        ]
        there = [float((groups.train_group == i).sum()) / len(people) for i in range(len(groups.names))]
        report.table(
            [[name, a, b] for name, a, b in zip(groups.names, there, drawn, strict=True)],
            ["group", "share of the people to train on", f"share drawn by {smallest}"],
        )
        results = {
            "data": groups.name,
            "groups": groups.names,
            "recognised": {way: of_way.tolist() for way, of_way in rates.items()},
            "share": there,
            "share_drawn": drawn,
        }
        run.save(report, results, picture)


def gaps(rates: Tensor) -> Tensor:
    """Best minus worst group for every seed, `(seeds, groups + 1)` -> `(seeds,)`."""
    return rates[:, :-1].amax(1) - rates[:, :-1].amin(1)


def _header(groups: Groups) -> list[str]:
    return ["", *(f"{n}, recognised" for n in groups.names), "gap", "smaller by", "false alarms", "balanced accuracy"]


def _row(way: str, rates: Tensor, standard: Tensor) -> list[object]:
    mean = rates.mean(0)
    accuracy = (mean[:-1].mean() + 1 - mean[-1]) / 2
    gap = gaps(rates)
    smaller = str(interval((gaps(standard) - gap).tolist())) if way != STANDARD else None
    return [way, *mean[:-1].tolist(), float(gap.mean()), smaller, float(mean[-1]), float(accuracy)]


def _bars(rates: dict[str, Tensor], groups: Groups) -> Figure:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(rates)
    for index, (way, of_way) in enumerate(rates.items()):
        places = [place + (index - (len(rates) - 1) / 2) * width for place in range(len(groups.names))]
        people = of_way[:, :-1]
        mean = people.mean(0)
        spans = torch.stack([mean - people.amin(0), people.amax(0) - mean]).numpy()
        axes.bar(places, mean.tolist(), width, yerr=spans, label=way, error_kw={"linewidth": 1, "ecolor": "C7"})
    axes.set_xticks(range(len(groups.names)), groups.names)
    lowest = min(float(of_way[:, :-1].min()) for of_way in rates.values())
    axes.set(ylabel="recognised", ylim=(max(0.0, lowest - 0.1), 1))
    axes.legend(frameon=False, ncols=len(rates), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(DebiasingRecipe, main, __doc__))
