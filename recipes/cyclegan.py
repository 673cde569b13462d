"""Translates between two kinds of pictures that were never seen in pairs, by CycleGAN or CUT.

    python -m recipes.cyclegan --data EMOJI               one maker's emoji to another's and back
    python -m recipes.cyclegan --data horse2zebra         any two folders of pictures
    python -m recipes.cyclegan --data EMOJI --model cut   in one direction, by contrasting patches; or fastcut

The folder holds `trainA`, `trainB`, `testA` and `testB`, as the data sets of the CycleGAN paper come; or pairs in any
layout that `recipes.pix2pix` takes. Of training pairs one half is used in A only and the other half in B only; the
pairs of the test serve to score the translation. Emoji are the best example: a folder with `emoji.json` and one folder
of drawings for each of two makers (`noto/` and `twemoji/`), all skin tones of an emoji on the same side of the test.

Networks, losses, sizes and rates are the paper's (Zhu et al. 2017): 6 residual blocks for emoji, at 64 pixels, and 9
for other pictures, at 256. The report shows held-out pictures translated there and back, and scores them by L1, SSIM
(pairs only), perceptual distance and FID (with our own extractor), beside the unchanged input and a mere change of
colours.

Should reach: better scores than both, in every score and both directions. CUT and FastCUT (Park et al. 2020) have half
the networks and translate in one direction; here they have CycleGAN's networks. `python -m recipes.translate RUN IN
OUT` uses the result. On a GPU take `--budget 1h`; on a CPU, for emoji, `--channels 16 --train.steps 4000 --budget 30m`,
a quarter of the paper's width and little of its time. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure
from torch import nn

from generative_core import CUT, CUTConfig, CycleGAN, CycleGANConfig, UnpairedLoader
from recipes.common.command import run_recipe
from recipes.common.image_run import Run, open_run
from recipes.common.translation import (
    Setting,
    TranslationConfig,
    build_discriminator,
    describe_generator,
    save_generator,
    settle,
)
from recipes.common.translation_data import Direction, Domains, drawn_pairs, folder_of_domains
from recipes.common.translation_scores import (
    SCORE_HEADER,
    SHOWN,
    ColourChange,
    TranslationScores,
    beats,
    gallery,
    held_out,
    translate_all,
)
from voiceconv.errors import UserError

NAMES = {"cyclegan": "CycleGAN", "cut": "CUT", "fastcut": "FastCUT"}


@dataclass(frozen=True)
class CycleGANRecipe(TranslationConfig):
    """A translation between two domains, learned without pairs."""

    model: Literal["cyclegan", "cut", "fastcut"] = "cyclegan"
    """How the content is kept: by cycle consistency, or by contrasting patches."""
    lambda_cycle: float = 10.0
    """Weight of CycleGAN's cycle consistency."""
    lambda_identity: float = 0.5
    """Weight of CycleGAN's identity loss, as a share of lambda_cycle."""
    pool_size: int = 50
    """Number of earlier translations that CycleGAN's discriminators are shown as well."""


def main(config: CycleGANRecipe) -> None:
    emoji = config.smoke or (config.data is not None and (config.data / "emoji.json").is_file())
    setting = settle(config, *((64, "resnet_6blocks") if emoji else (256, "resnet_9blocks")))
    if config.model != "cyclegan" and setting.network.startswith("unet"):
        raise UserError(f"--model {config.model} looks into a ResNet: use --network resnet_9blocks.")
    with open_run(config, "cyclegan", trainings=1) as run:
        domains = load(config, setting).turned(config.direction or "ab")
        generators = train(config, run, domains, setting)
        report = run.report(
            f"{NAMES[config.model]}: {domains.name}, A to B" + (" and back" if "ba" in generators else ""),
            f"{domains.name}: {len(domains.train_a)} pictures of A and {len(domains.train_b)} of B to train on, "
            f"{len(domains.test_a)} and {len(domains.test_b)} to test on"
            + (", which are pairs; no picture was trained on with its partner." if domains.paired else "."),
        )
        scorer = TranslationScores(run, domains)
        picture, scores = None, {}
        for direction in generators:
            figure, rows = assess(config, direction, generators, domains, setting, scorer)
            picture = picture or figure
            report.heading("A to B" if direction == "ab" else "B to A")
            report.figure(figure, "Held-out pictures, evenly spread over the test's; not selected")
            report.table(rows, SCORE_HEADER)
            better = beats(rows[2], rows[:2])
            report.text(
                f"{NAMES[config.model]} is {'' if better else 'not '}better than both baselines in "
                + ("every score." if domains.paired else "FID."),
                tone="good" if better else "fair",
            )
            scores[direction] = [dict(zip(["name", *SCORE_HEADER[1:]], row, strict=True)) for row in rows]
        report.text(
            f"L1 and SSIM at {setting.reader.preparation.crop_size} pixels, colours from 0 to 1. Extractor at 64 "
            f"pixels: {scorer.extractor.name}. FID grows as pictures get fewer: compare within a table."
        )
        assert picture is not None
        results = {"data": domains.name, "extractor": scorer.extractor.name, "scores": scores}
        run.save(report, results, picture)


def train(config: CycleGANRecipe, run: Run, domains: Domains, setting: Setting) -> dict[Direction, nn.Module]:
    """The trained generators by direction, which are also saved."""
    description = describe_generator(config, setting, 3, 3)
    networks: dict[str, Any] = {
        "generator": description.build,
        "discriminator": lambda: build_discriminator(config, setting, 3),
    }
    loader = UnpairedLoader(
        domains.train_a,
        domains.train_b,
        config.train.batch_size,
        seed=config.seed,
        transform=setting.reader.preparation.show_one,
    )
    decay_steps = run.steps(config.train.steps) // 2
    generators: dict[Direction, nn.Module]
    if config.model == "cyclegan":
        options = CycleGANConfig(
            adversarial=config.adversarial,
            lambda_cycle=config.lambda_cycle,
            lambda_identity=config.lambda_identity * config.lambda_cycle,
            pool_size=config.pool_size,
        )
        cyclegan = run.train("cyclegan", lambda: CycleGAN(options, **networks), loader, decay_steps=decay_steps)
        generators = {"ab": cyclegan.generator_ab, "ba": cyclegan.generator_ba}
    else:
        fast = config.model == "fastcut"
        contrast = CUTConfig(adversarial=config.adversarial, lambda_nce=10.0 if fast else 1.0, identity=not fast)
        cut = run.train(config.model, lambda: CUT(contrast, **networks), loader, decay_steps=decay_steps)
        generators = {"ab": cut.generator}
    for direction, generator in generators.items():
        save_generator(run.folder / f"generator_{direction}.safetensors", generator, description)
    return generators


def assess(
    config: CycleGANRecipe,
    direction: Direction,
    generators: dict[Direction, nn.Module],
    domains: Domains,
    setting: Setting,
    scorer: TranslationScores,
) -> tuple[Figure, list[list[Any]]]:
    """Held-out pictures side by side, and the table of scores."""
    turned = domains.turned(direction)
    inputs, truths = held_out(turned, setting)
    fakes = translate_all(generators[direction], inputs, scorer.device)
    recoloured = ColourChange(turned.train_a, turned.train_b)
    rows = [
        scorer.row("input as it is", inputs, truths, paired=domains.paired),
        scorer.row("change of colours", [recoloured(x) for x in inputs], truths, paired=domains.paired),
        scorer.row(NAMES[config.model], fakes, truths, paired=domains.paired),
        scorer.floor_row(turned.train_b, truths),
    ]
    shown = slice(None, None, max(1, len(inputs) // SHOWN))
    lines = {"input": inputs[shown], NAMES[config.model]: fakes[shown]}
    back: Direction = "ba" if direction == "ab" else "ab"
    if back in generators:
        lines["and back"] = translate_all(generators[back], fakes[shown], scorer.device)
    if domains.paired:
        lines["truth"] = truths[shown]
    return gallery(lines, setting), rows


def load(config: CycleGANRecipe, setting: Setting) -> Domains:
    if config.data is None:
        if config.smoke:
            return drawn_pairs(setting.reader, grey=False).unpaired()
        raise UserError("Say where the pictures are: --data FOLDER. `--help` says what it holds.")
    return folder_of_domains(config.data, setting.reader)


if __name__ == "__main__":
    sys.exit(run_recipe(CycleGANRecipe, main, __doc__))
