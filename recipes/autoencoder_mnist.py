"""Compresses digits to 2, 5, 10 and 32 numbers with an autoencoder, and reconstructs them.

    python -m recipes.autoencoder_mnist --data datasets --download

Shows what survives each size beside the originals and beside linear compression (PCA) to as many numbers, and the 2-D
latent space as a picture. Without --data it takes the digits of scikit-learn; any folder of images will do.

Must reach: a mean squared error on test images that falls with every size, and below PCA's at 2, 5 and 10 numbers.
It stops after ten minutes unless `--budget` says otherwise. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from generative_core import Autoencoder, AutoencoderConfig
from generative_core.nets import MLPDecoder, MLPEncoder
from recipes.common.command import run_recipe
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid, scatter_classes
from recipes.common.image_run import ImageConfig, TrainOptions, open_run
from voiceconv.errors import UserError

SHOWN = 12


@dataclass(frozen=True)
class AutoencoderRecipe(ImageConfig):
    """Autoencoders of several sizes."""

    latents: tuple[int, ...] = (2, 5, 10, 32)
    """Numbers that an image is compressed to."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=2500))


def build(latent: int, shape: tuple[int, ...]) -> Autoencoder:
    """An autoencoder of images in [0, 1]."""
    encoder = MLPEncoder(shape=shape, outputs=latent)
    decoder = nn.Sequential(MLPDecoder(shape=shape, latent=latent), nn.Sigmoid())
    return Autoencoder(AutoencoderConfig(latent=latent), encoder=encoder, decoder=decoder)


def pca_error(train: Tensor, test: Tensor, components: int) -> float:
    """The mean squared error of test images `(N, ...)` after linear compression that fits the training images best."""
    mean = train.flatten(1).mean(0)
    _, vectors = torch.linalg.eigh((train.flatten(1) - mean).T.cov())
    basis = vectors[:, -components:]
    centred = test.flatten(1) - mean
    return float((centred - centred @ basis @ basis.T).square().mean())


def main(config: AutoencoderRecipe) -> None:
    if not config.latents or min(config.latents) < 1:
        raise UserError("--latents needs at least one size, and every size is at least 1.")
    with open_run(config, "autoencoder_mnist", trainings=len(config.latents)) as run:
        train, test = run.images()
        models = {
            latent: run.train(f"latent-{latent}", partial(build, latent, train.shape), run.loader(x=train.x))
            for latent in sorted(config.latents)
        }
        mse = {latent: float((model.reconstruct(test.x) - test.x).square().mean()) for latent, model in models.items()}
        pca = {latent: pca_error(train.x, test.x, latent) for latent in models}
        values = train.x[0].numel()
        falls = all(mse[a] > mse[b] for a, b in zip(sorted(mse), sorted(mse)[1:], strict=False))

        report = run.report(
            "What an autoencoder keeps",
            f"{train.name}: {len(train)} images of {values} numbers to train on, {len(test)} to test on, each pressed "
            "through a few numbers and rebuilt from them.",
        )
        picture = _comparison(models, test)
        report.figure(picture, "Test images, and what is left of them after so many numbers")
        report.table(
            [[latent, values / latent, mse[latent], pca[latent]] for latent in models],
            ["latent size", "compression, times", "test MSE", "test MSE of PCA"],
        )
        report.text(
            "The error falls with every size." if falls else "The error does not fall with every size.",
            tone="good" if falls else "poor",
        )
        report.figure(_curve(mse, pca), "Error against size; both axes are logarithmic")
        if 2 in models:
            codes = models[2].encode(test.x)
            report.figure(scatter_classes(codes, test), "The whole latent space of the smallest model, by class")
        results = {"data": train.name, "test_mse": mse, "pca_mse": pca, "falls_with_every_size": falls}
        run.save(report, results, picture)


def _comparison(models: dict[int, Autoencoder], test: Images) -> Figure:
    shown = test.x[:SHOWN]
    rows = torch.stack([shown, *(model.reconstruct(shown) for model in models.values())])
    return image_grid(rows, rows=["original", *(f"{latent} numbers" for latent in models)])


def _curve(mse: dict[int, float], pca: dict[int, float]) -> Figure:
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(list(mse), list(mse.values()), "o-", label="autoencoder")
    axes.loglog(list(pca), list(pca.values()), "s--", label="PCA")
    axes.set(xlabel="latent size", ylabel="test MSE")
    axes.set_xticks(list(mse), [str(latent) for latent in mse])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(AutoencoderRecipe, main, __doc__))
