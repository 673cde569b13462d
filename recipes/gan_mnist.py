"""Five losses side by side, and what keeps a GAN from collapsing.

    python -m recipes.gan_mnist --data datasets --download

The same networks, data and seed under the non-saturating, LSGAN, hinge, WGAN-GP and relativistic losses. Shows samples,
walks through the noise from one digit to another, single dimensions of it turned, and how far a small push moves an
image. Then a collapse: the relativistic loss without its penalties, beside the same seed with R1 and R2. Measures FID,
KID, precision and recall with the features of our own classifier, beside those of real images against real ones; the
digits covered; and FID along the training, whose worst value in the second half tells what is stable.

Must reach: with R1 and R2 all ten digits and an FID below that of ... on MNIST. About nine minutes on two cores; with
scikit-learn's digits, which are taken without --data, three. Any folder of images will do. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import GAN, GANConfig, interpolate, traverse
from generative_core.nets import ConvGenerator, ImageDiscriminator
from recipes._command import run_recipe
from recipes._extractor import Extractor, train_extractor
from recipes._gan import SCORE_HEADER, SCORED, FidCurve, modes_covered, sample_images, score, to_images, to_model
from recipes._image import ImageConfig, TrainOptions, open_run, shape_error
from recipes._image_data import Images
from recipes._pictures import image_grid

SHOWN = 12
PUSHES = (0.0, 0.1, 0.2, 0.4, 0.8)

LOSSES = {
    "non-saturating": GANConfig(adversarial="non-saturating"),
    "LSGAN": GANConfig(adversarial="lsgan"),
    "hinge": GANConfig(adversarial="hinge"),
    "WGAN-GP": GANConfig(adversarial="wasserstein", gradient_penalty=10.0, betas=(0.0, 0.9)),
    "relativistic, R1 + R2": GANConfig(adversarial="relativistic", r1=0.3, r2=0.3),
}
COLLAPSING = {"relativistic, no penalty": GANConfig(adversarial="relativistic")}
