"""Removes Gaussian and salt-and-pepper noise from digits with denoising autoencoders.

    python -m recipes.denoising_mnist --data datasets --download

One model for each kind of noise learns to restore the clean image; salt-and-pepper noise makes a third of the pixels
black or white. The report shows noisy, denoised and clean test images. It measures by how many dB of PSNR the model
improves on the noisy image, and on a median or Gaussian filter of the width that is best for these test images. Without
--data it uses the digits of scikit-learn; any folder of images will do.

Must reach: a PSNR above the noisy images' and above the filters', for both kinds. It stops
after ten minutes unless `--budget` says otherwise. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial

import torch
from scipy import ndimage
from torch import Tensor, nn

from generative_core import Autoencoder, AutoencoderConfig
from generative_core.families.autoencoder import Noise, corrupt
from generative_core.metrics import psnr
from generative_core.nets import ConvDecoder, ConvEncoder
from recipes.common.command import run_recipe
from recipes.common.image_figures import image_grid
from recipes.common.image_run import ImageConfig, TrainOptions, open_run, shape_error

SHOWN = 12
TESTED = 2000


@dataclass(frozen=True)
class DenoisingRecipe(ImageConfig):
    """Two denoising autoencoders."""

    gaussian: float = 0.5
    """Standard deviation of the Gaussian noise; images are in [0, 1]."""
    salt_and_pepper: float = 0.3
    """Share of the pixels that become black or white."""
    latent: int = 64
    """Numbers that an image is compressed to."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=1500))


def build(config: AutoencoderConfig, shape: tuple[int, int, int]) -> Autoencoder:
    """A convolutional autoencoder of images in [0, 1]."""
    with shape_error():
        encoder = ConvEncoder(shape=shape, outputs=config.latent, channels=16)
        decoder = nn.Sequential(ConvDecoder(shape=shape, latent=config.latent, channels=16), nn.Sigmoid())
    return Autoencoder(config, encoder=encoder, decoder=decoder)


def best_filter(noisy: Tensor, clean: Tensor, noise: Noise) -> Tensor:
    """Images `(B, C, H, W)` through the Gaussian or the median filter that brings them closest to the clean ones."""
    images = noisy.cpu().numpy()
    if noise == "gaussian":
        tries = [ndimage.gaussian_filter(images, (0, 0, width, width)) for width in (0.5, 0.75, 1.0, 1.5)]
    else:
        tries = [ndimage.median_filter(images, (1, 1, width, width)) for width in (3, 5)]
    filtered = [torch.from_numpy(image).to(clean) for image in tries]
    return max(filtered, key=lambda images: psnr(images, clean))


def main(config: DenoisingRecipe) -> None:
    levels: dict[Noise, float] = {"gaussian": config.gaussian, "salt-and-pepper": config.salt_and_pepper}
    with open_run(config, "denoising_mnist", trainings=len(levels)) as run:
        train, test = run.images()
        rows: list[list[object]] = []
        results = {}
        pictures = {}
        clean = test.x[:TESTED]
        for noise, level in levels.items():
            settings = AutoencoderConfig(latent=config.latent, noise=noise, noise_level=level)
            model = run.train(noise, partial(build, settings, train.shape), run.loader(x=train.x))
            torch.manual_seed(config.seed)
            noisy = corrupt(clean, noise, level)
            # What the model sees is not clamped, what is compared and shown is.
            denoised, noisy = model.reconstruct(noisy), noisy.clamp(0, 1)
            filtered = best_filter(noisy, clean, noise)
            scores = {
                "noisy": psnr(noisy, clean),
                "filtered": psnr(filtered, clean),
                "denoised": psnr(denoised, clean),
            }
            gain = scores["denoised"] - scores["noisy"]
            rows.append([noise, level, *scores.values(), gain, scores["denoised"] - scores["filtered"]])
            results[noise] = {"level": level, **scores, "gain": gain}
            pictures[noise] = torch.stack([images[:SHOWN] for images in (noisy, filtered, denoised, clean)])

        report = run.report(
            "Denoising autoencoders",
            f"{train.name}: {len(train)} images to train on, {len(clean)} to test on. Each model sees an image under "
            "noise that is drawn anew every time and has to give back the clean one.",
        )
        names = ["noisy", "filtered", "denoised", "original"]
        picture = image_grid(
            torch.cat(list(pictures.values())), rows=[f"{name}, {noise}" for noise in pictures for name in names]
        )
        report.figure(picture, "Test images under noise, through the best filter, through the model, and clean")
        header = ["noise", "level", "noisy, dB", "best filter, dB", "denoised, dB", "gain, dB", "over the filter, dB"]
        report.table(rows, header)
        run.save(report, {"data": train.name, "psnr": results}, picture)


if __name__ == "__main__":
    sys.exit(run_recipe(DenoisingRecipe, main, __doc__))
