"""Generates portraits with a style-based GAN (StyleGAN2, Karras et al. 2020).

    python -m recipes.style_gan --data emoji
    python -m recipes.style_gan --data my_faces

A small version of the generator of StyleGAN2: a mapping network, modulated convolutions, and noise in every layer. The
report shows samples; truncation, which trades variety for quality; style mixing, with the coarse layers of one portrait
and the fine layers of another; what the noise of the layers decides; and interpolations between two styles. It gives
FID and KID beside those of real images, both again along the truncation curve with precision and recall, and the
perceptual path length in the noise Z and in the styles W, where it should be shorter.

`--data` is a folder with emoji (emoji.json and one folder for each style of drawing; the portraits are taken from
them) or with any images. Must reach: a path length in W below that in Z, and an FID that falls along the training; how
far it falls is a question of time. It takes the ten minutes of `--budget` on two cores and gets better with more, as
with `--device cuda --train.steps 50000 --budget 1h`. Without --data it draws the digits of scikit-learn at 16x16.
`--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core import GAN, GANConfig, interpolate
from generative_core.augment import random_affine
from generative_core.metrics import path_length
from generative_core.nets import ImageDiscriminator, StyleGenerator
from recipes.common.command import run_recipe
from recipes.common.extractor import train_extractor
from recipes.common.gan import (
    SCORE_HEADER,
    SCORED,
    FidCurve,
    Scores,
    check_images,
    halvings,
    sample_images,
    score,
    to_images,
    to_model,
)
from recipes.common.image_data import Images, in_test_part, load_emoji
from recipes.common.image_figures import image_grid
from recipes.common.image_run import SMOKE_IMAGES, ImageConfig, Run, TrainOptions, open_run, shape_error

DIGIT_SIZE = 16
FEATURE_SIZE = 32  # what the feature extractor sees, whatever the size of the images
SHOWN = 10
TRUNCATIONS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)
PATHS = 200
CURVE_SCORED = 300
PORTRAITS = ("person", "person-role", "person-gesture", "person-fantasy")


@dataclass(frozen=True)
class StyleRecipe(ImageConfig):
    """A style-based GAN."""

    size: int = 64
    """Pixels a side: 8, 16, 32, 64 and so on. Digits without --data are 16x16."""
    channels: int = 16
    """Channels of the last layers; those of the first are eight times as many."""
    w_dim: int = 64
    """Dimensions of a style, and of the noise that it is computed from."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=2500, batch_size=16))


def load_portraits(run: Run, config: StyleRecipe) -> tuple[Images, Images]:
    """The images to train on and those to test on; of emoji only people, whose classes are style and skin tone."""
    if config.data is None:
        return run.images(size=DIGIT_SIZE)
    if not (config.data / "emoji.json").is_file():
        return run.images(size=config.size)
    emoji = load_emoji(config.data, config.size, categories=("People & Body",))
    chosen = [index for index, record in enumerate(emoji.records) if record["subcategory"] in PORTRAITS]
    records = [emoji.records[index] for index in chosen]
    kinds = [f"{record['style']}, {record['skin_tone'] or 'no tone'}" for record in records]
    classes = tuple(sorted(set(kinds)))
    images = Images(
        "emoji portraits", emoji.x[chosen], torch.tensor([classes.index(kind) for kind in kinds]), classes
    ).to(run.device)
    held_out = torch.tensor([in_test_part(str(record["name"])) for record in records])
    train, test = images.where(~held_out), images.where(held_out)
    if config.smoke:
        train, test = (part.where(torch.arange(min(SMOKE_IMAGES, len(part)))) for part in (train, test))
    return train, test


class RandomFeatures(nn.Module):
    """Features `(B, 64)` of a convolutional network that was never trained, for images without classes to train one on
    (Naeem et al. 2020, arXiv:2002.09797)."""

    name = "random features of an untrained CNN"

    def __init__(self, planes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = [
            torch.randn(wide, narrow, 4, 4, generator=generator) / (16 * narrow / 2) ** 0.5
            for narrow, wide in ((planes, 32), (32, 64), (64, 64))
        ]

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = F.relu(F.conv2d(x, weight.to(x), stride=2, padding=1))
        return x.mean((2, 3))


def shrink(x: Tensor) -> Tensor:
    """Images no larger than the feature extractor looks at them."""
    return x if x.shape[-1] <= FEATURE_SIZE else F.adaptive_avg_pool2d(x, FEATURE_SIZE)


def feature_extractor(run: Run, train: Images, test: Images) -> tuple[Callable[[Tensor], Tensor], str]:
    """Features of images for the scores, and what tables call them."""
    if len(train.classes) < 2:
        features = RandomFeatures(train.shape[0])
        return lambda x: features(shrink(x)), f"{features.name}, images at {shrink(train.x[:1]).shape[-1]} pixels"
    small = [replace(part, x=shrink(part.x)) for part in (train, test)]
    extractor = train_extractor(small[0], small[1], run.folder, steps=run.steps(400))
    return lambda x: extractor(shrink(x)), f"{extractor.name}, at {small[0].shape[-1]} pixels"


def build(shape: tuple[int, ...], config: StyleRecipe) -> GAN:
    """R3GAN's loss on a style-based generator; the discriminator sees shifted images, lest it learn few by heart."""
    gan = GANConfig(
        adversarial="relativistic", z_dim=config.w_dim, r1=1.0, r2=1.0, generator_rate=1e-3, discriminator_rate=5e-4,
        betas=(0.0, 0.99),
    )  # fmt: skip
    wide = 8 * config.channels
    with shape_error():
        return GAN(
            gan,
            generator=lambda: StyleGenerator(
                shape=shape, z_dim=config.w_dim, w_dim=config.w_dim, channels=config.channels, max_channels=wide
            ),
            discriminator=lambda: ImageDiscriminator(
                shape=shape, channels=2 * config.channels, layers=halvings(shape), minibatch_std=True
            ),
            augment=lambda x: random_affine(x, shift=0.1),
        )


def main(config: StyleRecipe) -> None:
    with open_run(config, "style_gan", trainings=1) as run:
        train, test = load_portraits(run, config)
        check_images(train, test, by_class=False)
        extractor, features = feature_extractor(run, train, test)
        real = test.x[:SCORED]
        curve = FidCurve(run.folder / "fid.json", real[:CURVE_SCORED], extractor)
        x = to_model(train.x)
        if config.data is not None:  # faces have two sides, digits one
            x = torch.cat([x, x.flip(-1)])
        model = run.train(
            "gan", lambda: build(train.shape, config), run.loader(x=x), callbacks=[curve], ema_decay=0.998
        )

        count = min(len(real), len(train))
        real = real[:count]
        by_truncation = {
            psi: score(real, sample_images(model, count, config.seed, truncation=psi), extractor) for psi in TRUNCATIONS
        }
        shuffled = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:count].to(train.x.device)
        floor = score(real, train.x[shuffled], extractor)
        paths = path_lengths(model, extractor, config.seed)

        report = run.report(
            "A style-based generator",
            f"{train.name}: {len(train)} images to train on, {len(test)} to test on, {train.shape[-1]} pixels a side.",
        )
        picture = image_grid(sample_images(model, 4 * SHOWN, config.seed, truncation=0.85).unflatten(0, (4, SHOWN)))
        report.figure(picture, "Samples, truncated to 0.85; not selected")
        report.figure(image_grid(train.x[: 2 * SHOWN].unflatten(0, (2, SHOWN))), "Real ones, to compare")
        report.heading("How close to real ones")
        report.table([["generated", *by_truncation[1.0]], ["real images", *floor]], ["", *SCORE_HEADER])
        report.text(
            f"{count} samples against as many test images; for the real images it is training against test images. "
            f"Features: {features}."
        )
        report.figure(curve_picture(curve.points()), "FID along the training, averaged weights")
        report.heading("Truncation")
        report.figure(truncation_scores(by_truncation), "Quality and variety as styles are pulled to their mean")
        report.table([[psi, *scores] for psi, scores in by_truncation.items()], ["psi", *SCORE_HEADER])
        report.figure(truncation_picture(model, config.seed), "The same noise at each psi, from the mean portrait on")
        report.heading("Styles")
        report.figure(
            mixing_picture(model, config.seed),
            "Style mixing: the layers up to 16x16 pixels follow the portrait on the left, all others the one above",
        )
        report.figure(
            noise_picture(model, config.seed), "One style with other noise each time, and what the noise moves"
        )
        report.figure(walk_picture(model, config.seed), "Walks from one style to another")
        report.table([list(item) for item in paths.items()], ["straight lines in", "perceptual path length"])
        run.save(
            report,
            {
                "data": train.name,
                "features": features,
                "scores": by_truncation[1.0]._asdict(),
                "floor": floor._asdict(),
                "truncation": {psi: scores._asdict() for psi, scores in by_truncation.items()},
                "path_length": paths,
                "curve": curve.points(),
            },
            picture,
        )


def generator_of(model: GAN) -> StyleGenerator:
    assert isinstance(model.generator, StyleGenerator)
    return model.generator


def draw_styles(model: GAN, w: Tensor) -> Tensor:
    """Images of styles `(B, w_dim)`, always with the same noise."""
    net = generator_of(model)
    return to_images(net.synthesise(w[:, None].expand(-1, len(net.layers), -1), noise_seed=0))


def path_lengths(model: GAN, extractor: Callable[[Tensor], Tensor], seed: int) -> dict[str, float]:
    """Between the same pairs of images, along straight lines in Z and in W."""
    net = generator_of(model)
    torch.manual_seed(seed)
    start, end = model.noise(PATHS), model.noise(PATHS)
    torch.manual_seed(seed)
    in_z = path_length(lambda z: draw_styles(model, net.mapping(z)), start, end, extractor)
    torch.manual_seed(seed)
    in_w = path_length(lambda w: draw_styles(model, w), net.mapping(start), net.mapping(end), extractor)
    return {"the noise Z": in_z, "the styles W": in_w}


def curve_picture(points: list[tuple[int, float]]) -> Figure:
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogy([step for step, _ in points], [value for _, value in points], "o-")
    axes.set(xlabel="step", ylabel="FID")
    return figure


def truncation_scores(by_truncation: dict[float, Scores]) -> Figure:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    psi = list(by_truncation)
    left.plot(psi, [scores.fid for scores in by_truncation.values()], "o-")
    left.set(xlabel="psi", ylabel="FID")
    right.plot(psi, [scores.precision for scores in by_truncation.values()], "o-", label="precision")
    right.plot(psi, [scores.recall for scores in by_truncation.values()], "s--", label="recall")
    right.set(xlabel="psi", ylim=(0, 1))
    right.legend(frameon=False)
    return figure


def truncation_picture(model: GAN, seed: int) -> Figure:
    rows = [sample_images(model, SHOWN, seed, truncation=psi) for psi in TRUNCATIONS]
    return image_grid(torch.stack(rows), rows=[f"psi {psi}" for psi in TRUNCATIONS])


def mixing_picture(model: GAN, seed: int) -> Figure:
    net = generator_of(model)
    torch.manual_seed(seed)
    coarse, fine = net.styles(model.noise(4), truncation=0.85), net.styles(model.noise(SHOWN - 1), truncation=0.85)
    border = min(5, len(net.layers) - 2)  # the layers of 4x4, 8x8 and 16x16 pixels
    white = torch.ones_like(draw_styles(model, fine[:1, 0]))
    rows = [torch.cat([white, draw_styles(model, fine[:, 0])])]
    for style in coarse:
        mixed = torch.cat([style[:border].expand(len(fine), -1, -1), fine[:, border:]], dim=1)
        rows.append(torch.cat([draw_styles(model, style[:1]), to_images(net.synthesise(mixed, noise_seed=0))]))
    return image_grid(torch.stack(rows))


def noise_picture(model: GAN, seed: int) -> Figure:
    net = generator_of(model)
    torch.manual_seed(seed)
    styles = net.styles(model.noise(1), truncation=0.85)
    images = to_images(torch.cat([net.synthesise(styles, noise_seed=number) for number in range(40)]))
    deviation = images.std(0, keepdim=True).mean(1, keepdim=True).expand_as(images[:1])
    return image_grid(torch.cat([images[: SHOWN - 1], deviation / deviation.max().clamp(min=1e-6)])[None])


def walk_picture(model: GAN, seed: int) -> Figure:
    net = generator_of(model)
    torch.manual_seed(seed)
    start, end = (net.styles(model.noise(3), truncation=0.85)[:, 0] for _ in range(2))
    return image_grid(interpolate(lambda w: draw_styles(model, w), start, end, SHOWN))


if __name__ == "__main__":
    sys.exit(run_recipe(StyleRecipe, main, __doc__))
