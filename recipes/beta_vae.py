"""Compares VAEs whose KL divergence weighs more and more (beta-VAE, Higgins et al. 2017).

    python -m recipes.beta_vae --data datasets --download

Trains VAEs with beta 1, 4, 16 and 32: three seeds each on sprites whose shape, scale, rotation and place are known, and
one of each on digits, whose slant, width and ink are measured from the image. The report shows what each latent changes
on its own. It measures how well latents and factors match (MIG; disentanglement, completeness and informativeness), and
what that costs in nats of reconstruction. Without --data the digits are scikit-learn's.

Must reach: a MIG on sprites that is higher at a heavier beta than at 1, every seed above every seed, while the
reconstruction falls with every beta. It stops after ten minutes unless `--budget` says otherwise. `--smoke` takes
seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import VAE, VAEConfig, traverse
from generative_core.metrics import DCI, dci, mig
from generative_core.nets import MLPDecoder, MLPEncoder
from recipes.common.command import run_recipe
from recipes.common.image_figures import image_grid
from recipes.common.image_run import ImageConfig, Run, TrainOptions, open_run
from recipes.common.sprites import FACTORS, Sprites, render_sprites
from voiceconv.errors import UserError

SCORED = 5000  # images that MIG and DCI are taken over
LEVELS = 8  # that a factor measured from digits is cut into
REACH = torch.linspace(-2.5, 2.5, 9)
SHOWN_KL = 0.1  # nats; below, a latent tells nothing and moving it changes nothing


@dataclass(frozen=True)
class BetaRecipe(ImageConfig):
    """VAEs of several beta."""

    betas: tuple[float, ...] = (1.0, 4.0, 16.0, 32.0)
    """Weights of the KL divergence to compare."""
    seeds: int = 3
    """Models of each beta on sprites; MIG and DCI differ much between seeds."""
    latent: int = 10
    """Latent dimensions of a VAE."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=3000, batch_size=64))


class Scores(NamedTuple):
    mig: float
    dci: DCI
    reconstruction: float  # nats an image
    kl: Tensor  # of every latent


def build(beta: float, latent: int, shape: tuple[int, ...]) -> VAE:
    encoder, decoder = MLPEncoder(shape=shape, outputs=2 * latent), MLPDecoder(shape=shape, latent=latent)
    return VAE(VAEConfig(latent=latent, beta=beta), encoder=encoder, decoder=decoder)


def score(model: VAE, x: Tensor, factors: Tensor) -> Scores:
    """Scores on images and the numbers of their factors' values, `(N, factors)`."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:SCORED].to(x.device)
    x, factors = x[order], factors[order]
    torch.manual_seed(0)
    elbo = model.elbo(model.observe(x))
    codes = model.encode(x)
    return Scores(mig(codes, factors), dci(codes, factors), float(elbo.reconstruction.mean()), elbo.kl.mean(0))


def digit_factors(x: Tensor) -> Tensor:
    """Slant, width and ink of digits `(N, 1, H, W)`, each as the number of one of eight classes of equal size."""
    ink = x[:, 0].clamp_min(0)
    total = ink.sum((1, 2)).clamp_min(1e-6)
    rows, columns = (torch.arange(size, device=x.device, dtype=x.dtype) for size in ink.shape[1:])
    row, column = (ink.sum(2) @ rows) / total, (ink.sum(1) @ columns) / total
    dy, dx = rows[None] - row[:, None], columns[None] - column[:, None]
    variance_y = (ink.sum(2) * dy.square()).sum(1) / total
    variance_x = (ink.sum(1) * dx.square()).sum(1) / total
    covariance = torch.einsum("nhw,nh,nw->n", ink, dy, dx) / total
    measured = torch.stack([covariance / variance_y.clamp_min(1e-6), variance_x.sqrt(), total], dim=1)
    return measured.argsort(0).argsort(0) * LEVELS // len(x)


def main(config: BetaRecipe) -> None:
    if len(config.betas) < 2 or min(config.betas) <= 0 or config.seeds < 1:
        raise UserError("--betas needs at least two values above zero, and --seeds at least one.")
    betas, seeds = sorted(config.betas), config.seeds
    if config.smoke:
        betas, seeds = betas[:2], 1
    with open_run(config, "beta_vae", trainings=len(betas) * (seeds + 1)) as run:
        sprites = render_sprites()
        if config.smoke:
            sprites = Sprites(sprites.x[::20], sprites.factors[::20])
        sprite_x, sprite_factors = sprites.x.to(run.device), sprites.factors.to(run.device)
        digits, digits_test = run.images()
        digit_x = digits.x.mean(1, keepdim=True)

        on_digits = {beta: _train(run, config, "digits", beta, 0, digit_x) for beta in betas}
        on_sprites = {
            (beta, seed): _train(run, config, "sprites", beta, seed, sprite_x)
            for seed in range(seeds)
            for beta in betas
        }
        test_x = digits_test.x.mean(1, keepdim=True)
        digit_scores = {beta: score(model, test_x, digit_factors(test_x)) for beta, model in on_digits.items()}
        sprite_scores = {
            beta: [score(on_sprites[beta, seed], sprite_x, sprite_factors) for seed in range(seeds)] for beta in betas
        }

        report = run.report(
            "Disentanglement by beta",
            f"{len(sprite_x)} sprites of known {', '.join(FACTORS)}, and {digits.name}. The heavier the KL divergence, "
            "the fewer latents are used, and the more each stands for one thing that can change in an image.",
        )
        report.heading("Sprites")
        picture = _curves(sprite_scores)
        report.figure(picture, f"Against beta: mean and each of {seeds} seeds")
        report.table(
            [_row(beta, scores) for beta, scores in sprite_scores.items()],
            ["beta", "MIG, mean", "lowest", "highest", "disentanglement", "completeness", "informativeness",
             "log p(x|z), nats", "KL, nats", "latents in use"],
        )  # fmt: skip
        for beta in betas:
            best = max(range(seeds), key=lambda seed: sprite_scores[beta][seed].mig)
            grid = _traversals(on_sprites[beta, best], sprite_x[:1], sprite_scores[beta][best].kl)
            report.figure(grid, f"beta {beta:g}, its best seed: every latent in use moved alone from -2.5 to 2.5")
        report.heading("Digits")
        report.table(
            [_row(beta, [scores]) for beta, scores in digit_scores.items()],
            ["beta", "MIG", "lowest", "highest", "disentanglement", "completeness", "informativeness",
             "log p(x|z), nats", "KL, nats", "latents in use"],
        )  # fmt: skip
        report.text("One seed. The factors are slant, width and ink, measured from the images, in eight classes each.")
        for beta, model in on_digits.items():
            grid = _traversals(model, test_x[:1], digit_scores[beta].kl)
            report.figure(grid, f"beta {beta:g}: every latent in use moved alone")
        results = {
            "sprites": {f"{beta:g}": [_plain(s) for s in scores] for beta, scores in sprite_scores.items()},
            digits.name: {f"{beta:g}": _plain(scores) for beta, scores in digit_scores.items()},
        }
        run.save(report, results, picture)


def _train(run: Run, config: BetaRecipe, name: str, beta: float, seed: int, x: Tensor) -> VAE:
    seed += config.seed
    builder = partial(build, beta, config.latent, tuple(x.shape[1:]))
    return run.train(f"{name}-beta-{beta:g}-seed-{seed}", builder, run.loader(x=x, seed=seed), seed=seed)


def _row(beta: float, scores: list[Scores]) -> list[object]:
    migs = [s.mig for s in scores]
    means = torch.tensor([[*s.dci, s.reconstruction, float(s.kl.sum())] for s in scores]).mean(0).tolist()
    used = sum(int((s.kl > SHOWN_KL).sum()) for s in scores) / len(scores)
    return [f"{beta:g}", sum(migs) / len(migs), min(migs), max(migs), *means, used]


def _plain(scores: Scores) -> dict[str, object]:
    return {
        "mig": scores.mig,
        **scores.dci._asdict(),
        "reconstruction": scores.reconstruction,
        "kl_per_dimension": scores.kl.tolist(),
    }


def _traversals(model: VAE, x: Tensor, kl: Tensor) -> Figure:
    """The latents that tell most first, as rows; without any in use, the first alone."""
    order = kl.argsort(descending=True)
    used = [int(i) for i in order if kl[i] > SHOWN_KL] or [int(order[0])]
    z = model.encode(x)
    rows = torch.cat([traverse(model.decode, z, dimension, REACH) for dimension in used])
    return image_grid(rows, rows=[f"{kl[dimension]:.1f} nats" for dimension in used], inch=0.4)


def _curves(scores: dict[float, list[Scores]]) -> Figure:
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    curves = {
        "MIG": (0, lambda s: s.mig),
        "disentanglement": (1, lambda s: s.dci.disentanglement),
        "completeness": (1, lambda s: s.dci.completeness),
        "log p(x|z), nats": (2, lambda s: s.reconstruction),
    }
    for color, (name, (panel, value)) in enumerate(curves.items()):
        axes = panels[panel]
        values = {beta: [value(s) for s in of_beta] for beta, of_beta in scores.items()}
        axes.plot(list(values), [sum(v) / len(v) for v in values.values()], "-", color=f"C{color}", label=name)
        for beta, of_beta in values.items():
            axes.plot([beta] * len(of_beta), of_beta, "o", color=f"C{color}", markersize=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(values), [f"{beta:g}" for beta in values])
        axes.set_xlabel("beta")
        axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(BetaRecipe, main, __doc__))
