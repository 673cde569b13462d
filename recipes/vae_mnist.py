"""Compares variational with plain autoencoders: samples, interpolations and likelihoods of digits.

    python -m recipes.vae_mnist --data datasets --download

Trains a plain and a variational autoencoder with the same networks, with 2 and with 10 latent dimensions. The report
shows samples from the prior, interpolations and the 2-D latent spaces. It measures density: the ELBO in nats, its KL
divergence per dimension, and the importance-weighted log-likelihood of test images. It also measures completeness, the
share of samples from the standard normal prior that a classifier accepts, and continuity, the same share of points
between two images. The classifier accepts an image if it is at least as sure of one class as on 95 % of the real test
images. An autoencoder has no prior, so its samples from the normal distribution that fits its codes are shown as well.

Must reach: on MNIST, more than -105 nats at 10 dimensions (test images with pixels drawn from their grey values), and
completeness above the autoencoder's. Continuity is no better than the autoencoder's, and neither is completeness beside
its fitted normal: digits fill an autoencoder's few dimensions too, and its images are sharper. It stops after ten
minutes unless `--budget` says otherwise. Without --data it takes the digits of scikit-learn; any folder of images will
do. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from generative_core import VAE, Autoencoder, AutoencoderConfig, VAEConfig, interpolate
from generative_core.metrics import fid
from generative_core.nets import MLPDecoder, MLPEncoder
from generative_core.saved import FILE, save_model
from recipes.common.command import run_recipe
from recipes.common.extractor import Extractor, train_extractor
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid, show_classes, tile
from recipes.common.image_run import ImageConfig, TrainOptions, open_run
from voiceconv.errors import UserError

SHOWN = 12
SAMPLES = 2000
PAIRS = 500
STEPS_BETWEEN = 11  # with both ends
REAL_ACCEPTED = 0.95


@dataclass(frozen=True)
class VAERecipe(ImageConfig):
    """Autoencoders and VAEs of two sizes."""

    latent: int = 10
    """Latent dimensions of the larger models; the smaller ones have 2, to be looked at."""
    importance_samples: int = 200
    """Draws for the importance-weighted log-likelihood of each test image."""
    scored: int = 1000
    """Test images whose importance-weighted log-likelihood is taken."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=4000))


def build_autoencoder(latent: int, shape: tuple[int, ...]) -> Autoencoder:
    encoder = MLPEncoder(shape=shape, outputs=latent)
    decoder = nn.Sequential(MLPDecoder(shape=shape, latent=latent), nn.Sigmoid())
    return Autoencoder(AutoencoderConfig(latent=latent), encoder=encoder, decoder=decoder)


def build_vae(latent: int, shape: tuple[int, ...]) -> VAE:
    """The same networks but for the encoder's outputs: a mean and a log-variance for each latent."""
    encoder, decoder = MLPEncoder(shape=shape, outputs=2 * latent), MLPDecoder(shape=shape, latent=latent)
    return VAE(VAEConfig(latent=latent), encoder=encoder, decoder=decoder)


def save_for_use(folder: Path, model: Autoencoder | VAE, shape: tuple[int, ...]) -> None:
    """Writes what `from_pretrained` reads."""
    latent, variational = model.config.latent, isinstance(model, VAE)
    decoder = {"kind": "MLPDecoder", "shape": shape, "latent": latent}
    save_model(
        folder / FILE,
        model,
        {
            "encoder": {"kind": "MLPEncoder", "shape": shape, "outputs": 2 * latent if variational else latent},
            "decoder": decoder if variational else [decoder, {"kind": "Sigmoid"}],
        },
    )


def density(model: VAE, test: Images, config: VAERecipe) -> dict[str, Any]:
    """ELBO and its parts over the test images, and the importance-weighted bound of some, in nats an image."""
    torch.manual_seed(config.seed)
    x = model.observe(test.x)
    elbo = model.elbo(x)
    kl = elbo.kl.mean(0)
    scored, samples = x[: config.scored], 2 if config.smoke else config.importance_samples
    return {
        "elbo": float((elbo.reconstruction - elbo.kl.sum(1)).mean()),
        "reconstruction": float(elbo.reconstruction.mean()),
        "kl": float(kl.sum()),
        "kl_per_dimension": [float(value) for value in kl.sort(descending=True).values],
        "log_likelihood": float(model.importance_weighted_log_likelihood(scored, samples).mean()),
    }


class Acceptance:
    """Says which images pass for real: those the classifier is at least as sure of as of most real ones."""

    def __init__(self, extractor: Extractor, real: Tensor) -> None:
        self.extractor = extractor
        self.bar = self.confidence(real).quantile(1 - REAL_ACCEPTED)

    def confidence(self, images: Tensor) -> Tensor:
        return self.extractor.probabilities(images).max(1).values

    def accepts(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` -> `(B,)`, 1 for accepted."""
        return (self.confidence(images) >= self.bar).float()


def quality(model: Autoencoder | VAE, test: Images, acceptance: Acceptance, seed: int) -> dict[str, Any]:
    """Completeness, continuity and FID of a model, and the share accepted at each place between two images."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(len(test), (2, PAIRS), generator=generator).to(test.x.device)
    ends = [model.encode(test.x[chosen]) for chosen in pairs]
    between = interpolate(model.decode, ends[0], ends[1], STEPS_BETWEEN)
    accepted = acceptance.accepts(between.flatten(0, 1)).view(PAIRS, STEPS_BETWEEN).mean(0)
    torch.manual_seed(seed)
    samples = model.sample(min(SAMPLES, len(test)))  # of the prior, or of the normal distribution that fits the codes
    drawn = model.decode(torch.randn(len(samples), ends[0].shape[1], generator=generator).to(samples.device))
    return {
        "completeness": float(acceptance.accepts(drawn).mean()),
        "fitted": float(acceptance.accepts(samples).mean()),
        "continuity": float(accepted[1:-1].mean()),
        "reconstructions": float(acceptance.accepts(model.reconstruct(test.x)).mean()),
        "fid": fid(test.x[: len(samples)], samples, acceptance.extractor),
        "along": accepted.tolist(),
    }


def main(config: VAERecipe) -> None:
    if config.latent < 3:
        raise UserError("--latent must be at least 3; models with 2 are trained beside it.")
    with open_run(config, "vae_mnist", trainings=4) as run:
        train, test = run.images()
        acceptance = Acceptance(train_extractor(train, test, run.folder, steps=run.steps(800)), test.x)
        models: dict[str, Autoencoder | VAE] = {}
        for latent in (2, config.latent):
            autoencoder, vae = partial(build_autoencoder, latent, train.shape), partial(build_vae, latent, train.shape)
            models[f"AE, {latent} latents"] = run.train(f"ae-{latent}", autoencoder, run.loader(x=train.x))
            models[f"VAE, {latent} latents"] = run.train(f"vae-{latent}", vae, run.loader(x=train.x))
            for kind in ("AE", "VAE"):
                save_for_use(run.folder / f"{kind.lower()}-{latent}", models[f"{kind}, {latent} latents"], train.shape)
        densities = {name: density(model, test, config) for name, model in models.items() if isinstance(model, VAE)}
        qualities = {name: quality(model, test, acceptance, config.seed) for name, model in models.items()}
        count = min(SAMPLES, len(test))
        floor = fid(test.x[:count], train.x[:count], acceptance.extractor)

        report = run.report(
            "Variational autoencoders against plain ones",
            f"{train.name}: {len(train)} images to train on, {len(test)} to test on. A plain autoencoder rebuilds what "
            "it has seen; only a variational one also has an image at every place of its latent space.",
        )
        picture = _pictures(models, test, config)
        report.figure(picture, "Samples from the prior, and walks from one test image to another; not selected")
        report.heading("Completeness and continuity")
        report.table(
            [
                [name, *(q[key] for key in ("completeness", "fitted", "continuity", "reconstructions", "fid"))]
                for name, q in qualities.items()
            ]
            + [["real images", REAL_ACCEPTED, None, None, None, floor]],
            ["model", "accepted of the prior", "of its own samples", "in between", "of reconstructions", "FID"],
        )
        report.text(
            "An autoencoder's own samples are of the normal distribution that fits its codes, a VAE's of the prior. "
            f"Classifier and features: {acceptance.extractor.name}. FID from {count} samples against as many test "
            "images; for the real images it is training against test images."
        )
        report.figure(_along(qualities), "Share of images accepted on the way from one test image to another")
        report.heading("Density")
        report.table(
            [[name, d["elbo"], d["reconstruction"], d["kl"], d["log_likelihood"]] for name, d in densities.items()],
            ["model", "ELBO, nats", "log p(x|z)", "KL divergence", "importance-weighted log p(x)"],
        )
        report.text(
            "Nats an image; pixels are black or white, drawn from the grey values. The last column is from "
            f"{config.importance_samples} draws for each of {min(config.scored, len(test))} test images and bounds "
            "the true log-likelihood more closely than the ELBO."
        )
        report.figure(_kl(densities), "KL divergence of each latent dimension: what it tells of an image, in nats")
        report.figure(_latent_spaces(models, test), "Test images in the latent spaces of two dimensions, by class")
        report.figure(_manifold(models["VAE, 2 latents"]), "What lies where in the VAE's latent space, from -2 to 2")
        results = {"data": train.name, "density": densities, "quality": qualities, "fid_floor": floor}
        run.save(report, {**results, "extractor": acceptance.extractor.name}, picture)


def _pictures(models: dict[str, Autoencoder | VAE], test: Images, config: VAERecipe) -> Figure:
    names = [f"AE, {config.latent} latents", f"VAE, {config.latent} latents"]
    rows, labels = [], []
    for name in names:
        torch.manual_seed(config.seed)
        rows += list(models[name].sample(3 * SHOWN).unflatten(0, (3, SHOWN)))
        labels += [f"samples, {name[:3].strip(', ')}", "", ""]
    # Neighbours in the test set of different classes.
    start = torch.arange(len(test) - 1, device=test.y.device)
    start = start[test.y[:-1] != test.y[1:]][:3] if len(test.classes) > 1 else start[:3]
    for name in names:
        model = models[name]
        rows += list(interpolate(model.decode, model.encode(test.x[start]), model.encode(test.x[start + 1]), SHOWN))
        labels += [f"between, {name[:3].strip(', ')}", "", ""]
    return image_grid(torch.stack(rows), rows=labels)


def _along(qualities: dict[str, dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, quality) in enumerate(qualities.items()):
        places = torch.linspace(0, 1, STEPS_BETWEEN).tolist()
        axes.plot(places, quality["along"], "--" if name.startswith("AE") else "-", color=f"C{index // 2}", label=name)
    axes.axhline(REAL_ACCEPTED, color="C7", linewidth=0.8)
    axes.set(xlabel="from the one image to the other", ylabel="accepted", ylim=(0, 1))
    axes.legend(frameon=False)
    return figure


def _kl(densities: dict[str, dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for name, density in densities.items():
        values = density["kl_per_dimension"]
        axes.plot(range(1, len(values) + 1), values, "o-", label=name)
    axes.set(xlabel="dimension, in order", ylabel="KL divergence, nats", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def _latent_spaces(models: dict[str, Autoencoder | VAE], test: Images) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("AE, 2 latents", "VAE, 2 latents"), strict=True):
        show_classes(axes, models[name].encode(test.x), test, name)
    return figure


def _manifold(model: Autoencoder | VAE, side: int = 15) -> Figure:
    line = torch.linspace(-2, 2, side, device=next(model.parameters()).device)
    grid = torch.cartesian_prod(line.flip(0), line).flip(1)  # from the top, left to right
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(tile(model.decode(grid).unflatten(0, (side, side))), cmap="gray", extent=(-2, 2, -2, 2))
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(VAERecipe, main, __doc__))
