"""CycleGAN: translating between two kinds of pictures that were never seen in pairs.

    python -m recipes.cyclegan --data EMOJI               one maker's emoji to another's and back
    python -m recipes.cyclegan --data horse2zebra         any two folders of pictures

The folder holds `trainA`, `trainB`, `testA` and `testB`, as the data sets of the CycleGAN paper come; or pairs in any
layout that `recipes.pix2pix` takes. Pairs are put apart for the training, one half left in A only and the other half in
B only, and used to score the translation of those kept for the test. Emoji are the best example: a folder with
`emoji.json` and one folder of drawings for each of two makers (`noto/` and `twemoji/`), all skin tones of an emoji on
the same side of the test.

Networks, losses, sizes and rates are the paper's (Zhu et al. 2017): 6 residual blocks for emoji, at 64 pixels, and 9
for other pictures, at 256. The page shows held-out pictures, there and back again, and scores them: L1, SSIM (pairs
only), perceptual distance and FID by an extractor of our own, beside the input as it is and a change of colours that
learns nothing else. Should reach: better than both in every score, in both directions.
`python -m recipes.translate RUN IN OUT` uses the result.
On a GPU take `--budget 1h`; on two cores without one `--channels 24 --budget 2h` for emoji. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from generative_core import CycleGAN, CycleGANConfig, UnpairedLoader
from recipes._command import run_recipe
from recipes._image import open_run
from recipes._translation import (
    SCORE_HEADER,
    ColourChange,
    Judge,
    Setting,
    TranslationConfig,
    beats,
    build_discriminator,
    describe_generator,
    gallery,
    held_out,
    save_generator,
    settle,
    translate_all,
)
from recipes._translation_data import Direction, Domains, drawn_pairs, folder_of_domains
from voiceconv.errors import UserError


@dataclass(frozen=True)
class CycleGANRecipe(TranslationConfig):
    """A translation between two domains, learned without pairs."""

    lambda_cycle: float = 10.0
    """Weight of coming back to where a picture came from."""
    lambda_identity: float = 0.5
    """Weight of leaving alone what is of the target's kind already, as a share of lambda_cycle."""
    pool_size: int = 50
    """Earlier translations that the critics are shown as well."""


def main(config: CycleGANRecipe) -> None:
    emoji = config.smoke or (config.data is not None and (config.data / "emoji.json").is_file())
    setting = settle(config, *((64, "resnet_6blocks") if emoji else (256, "resnet_9blocks")))
    with open_run(config, "cyclegan", trainings=1) as run:
        domains = load(config, setting).turned(config.direction or "ab")
        prepared = setting.reader.preparation
        description = describe_generator(config, setting, 3, 3)
        options = CycleGANConfig(
            adversarial=config.adversarial,
            lambda_cycle=config.lambda_cycle,
            lambda_identity=config.lambda_identity * config.lambda_cycle,
            pool_size=config.pool_size,
        )
        model = run.train(
            "cyclegan",
            lambda: CycleGAN(
                options,
                generator=description.build,
                discriminator=lambda: build_discriminator(config, setting, 3),
            ),
            UnpairedLoader(
                domains.train_a,
                domains.train_b,
                config.train.batch_size,
                seed=config.seed,
                transform=prepared.show_one,
            ),
            decay_steps=run.steps(config.train.steps) // 2,
        )
        save_generator(run.folder / "generator_ab.safetensors", model.generator_ab, description)
        save_generator(run.folder / "generator_ba.safetensors", model.generator_ba, description)

        report = run.report(
            f"From {domains.name} A to B and back",
            f"{domains.name}: {len(domains.train_a)} pictures of A and {len(domains.train_b)} of B to train on, "
            f"{len(domains.test_a)} and {len(domains.test_b)} to test on"
            + (", which are pairs; no picture was trained on with its partner." if domains.paired else "."),
        )
        judge = Judge(run, domains)
        pictures_a, pictures_b = held_out(domains, setting)
        directions: tuple[tuple[Direction, Any, Any, list[Tensor], list[Tensor]], ...] = (
            ("ab", domains.train_a, domains.train_b, pictures_a, pictures_b),
            ("ba", domains.train_b, domains.train_a, pictures_b, pictures_a),
        )
        picture, scores = None, {}
        for direction, train, train_target, inputs, truths in directions:
            fakes = translate_all(lambda x, d=direction: model.translate(x, d), inputs, run.device)  # type: ignore[misc]
            other: Direction = "ba" if direction == "ab" else "ab"
            shown = slice(None, None, max(1, len(inputs) // 8))
            back = translate_all(lambda x, d=other: model.translate(x, d), fakes[shown], run.device)  # type: ignore[misc]
            recoloured = ColourChange(train, train_target)
            rows = [
                judge.row("input as it is", inputs, truths, paired=domains.paired),
                judge.row("change of colours", [recoloured(x) for x in inputs], truths, paired=domains.paired),
                judge.row("CycleGAN", fakes, truths, paired=domains.paired),
                judge.floor_row(train_target, truths),
            ]
            lines = {"input": inputs[shown], "CycleGAN": fakes[shown], "and back": back}
            if domains.paired:
                lines["truth"] = truths[shown]
            figure = gallery(lines, setting)
            picture = picture or figure
            report.heading("A to B" if direction == "ab" else "B to A")
            report.figure(figure, "Held-out pictures, evenly spread over the test's; not selected")
            report.table(rows, SCORE_HEADER)
            better = beats(rows[2], rows[:2])
            report.text(
                f"CycleGAN is {'' if better else 'not '}better than both baselines in "
                + ("L1, SSIM and FID." if domains.paired else "FID."),
                tone="good" if better else "fair",
            )
            scores[direction] = [dict(zip(["name", *SCORE_HEADER[1:]], row, strict=True)) for row in rows]
        report.text(
            f"L1 and SSIM at {prepared.crop_size} pixels, colours from 0 to 1. Extractor at 64 pixels: "
            f"{judge.extractor.name}. FID grows as pictures get fewer: compare within a table."
        )
        assert picture is not None
        results = {"data": domains.name, "extractor": judge.extractor.name, "scores": scores}
        run.save(report, results, picture)


def load(config: CycleGANRecipe, setting: Setting) -> Domains:
    if config.data is None:
        if config.smoke:
            return drawn_pairs(setting.reader, grey=False).unpaired()
        raise UserError("Say where the pictures are: --data FOLDER. `--help` says what it holds.")
    return folder_of_domains(config.data, setting.reader)


if __name__ == "__main__":
    sys.exit(run_recipe(CycleGANRecipe, main, __doc__))
