"""Draws emoji from their names with a text encoder and a diffusion model.

    python -m recipes.diffusion_emoji --data emoji

`emoji` holds `emoji.json` and a folder of drawings for each style (see `load_emoji`). The model is conditioned on a
name, which includes the skin tone, and on a style. One name in five is held out. The report shows drawings of names
that were trained on, of held-out names, and of your own `--texts`; `--negative` says what these should not be. It
measures how often a classifier of our own, trained on all drawings and names, picks the right name among 100, and the
same for real drawings. With `--latent` the model works in the latent space of a VAE, which makes `--size 128`
affordable.

Should reach: half of the known names among 100, in an hour of one core with `--train.steps 5000 --train.batch-size 48
--budget 65m`.
Without --data it draws the digits of scikit-learn by their names; with a folder of images for each class, by the names
of the folders. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import Diffusion, DiffusionConfig
from generative_core.nets import TextEncoder
from recipes.common.command import run_recipe
from recipes.common.diffusion import Codec, DiffusionRecipe, Latents, Pixels, diffusion_unet, draw, latent_vae, quick
from recipes.common.extractor import Extractor, train_extractor
from recipes.common.image_data import DEFAULT_SIZE, Images, in_test_part, load_emoji, load_images
from recipes.common.image_figures import image_grid
from recipes.common.image_run import SMOKE_IMAGES, TrainOptions, open_run
from recipes.common.tokens import Vocabulary
from voiceconv.errors import UserError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SKIN_TONES = {
    "1F3FB": "light skin tone",
    "1F3FC": "medium light skin tone",
    "1F3FD": "medium skin tone",
    "1F3FE": "medium dark skin tone",
    "1F3FF": "dark skin tone",
}
LENGTH = 32  # tokens of a name
CANDIDATES = 100
ASKED = 300  # names that are drawn for the score, of each kind
SHOWN = 12
CLASSIFIER_STEPS = 4000


@dataclass(frozen=True)
class DiffusionEmoji(DiffusionRecipe):
    """Diffusion conditioned on a text."""

    size: int = DEFAULT_SIZE
    """Height and width of the drawings."""
    latent: bool = False
    """Work in the latent space of a VAE, which is trained first."""
    guidance: float = 3.0
    """Weight of classifier-free guidance; 1 is none."""
    texts: tuple[str, ...] = ("red heart", "smiling cat", "green apple", "flag with a star", "blue car")
    """Names to draw for the report."""
    negative: str = ""
    """What the drawings of --texts should not be."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=20_000, batch_size=64))


@dataclass(frozen=True)
class Drawings:
    """Drawings with their names as classes, the number of each one's style, and which of them are trained on."""

    images: Images
    style: Tensor
    styles: tuple[str, ...]
    known: Tensor


def load_drawings(config: DiffusionEmoji, device: torch.device) -> Drawings:
    data, size = config.data, config.size
    limit = SMOKE_IMAGES if config.smoke else None
    if data is not None and (data / "emoji.json").is_file():
        emoji = load_emoji(data, size)
        kept, names = [], []
        for number, record in enumerate(emoji.records[:limit]):
            tone = record["skin_tone"]
            if tone is None or tone in SKIN_TONES:  # not those of two people
                kept.append(number)
                names.append(str(record["name"]) + (f", {SKIN_TONES[tone]}" if tone else ""))
        records = [emoji.records[number] for number in kept]
        x, images_name = emoji.x[kept], "emoji"
        styles = tuple(sorted({str(record["style"]) for record in records}))
        style = torch.tensor([styles.index(str(record["style"])) for record in records])
        known = torch.tensor([not in_test_part(str(record["name"])) for record in records])
    else:
        train, _ = load_images(data, download=config.download, size=None if data is None else size, limit=limit)
        classes = DIGITS if train.classes == tuple("0123456789") else train.classes
        x, images_name, names = train.x, train.name, [classes[label] for label in train.y]
        styles, style, known = ("",), torch.zeros(len(x), dtype=torch.long), torch.ones(len(x), dtype=torch.bool)
    distinct = tuple(sorted(set(names)))
    if len(distinct) < 2:
        raise UserError(f"All images of {images_name} have the same name, and this needs different ones.")
    number_of = {name: number for number, name in enumerate(distinct)}
    images = Images(images_name, x, torch.tensor([number_of[name] for name in names]), distinct)
    return Drawings(images.to(device), style.to(device), styles, known.to(device))


class Artist:
    """Draws images in [0, 1] from names."""

    def __init__(self, model: Diffusion, codec: Codec, vocabulary: Vocabulary, config: DiffusionEmoji) -> None:
        self.model, self.codec, self.vocabulary, self.config = model, codec, vocabulary, config

    def __call__(self, names: Sequence[str], style: int, *, negative: str = "", seed: int = 0) -> Tensor:
        return self.codec.decode(
            draw(
                self.model,
                len(names),
                seed,
                self._condition(names, style),
                steps=self.config.sampling_steps,
                sampler=self.config.sampler,
                guidance=self.config.guidance,
                negative=self._condition([negative] * len(names), style) if negative else None,
            )
        )

    def _condition(self, names: Sequence[str], style: int) -> dict[str, Tensor]:
        return {"tokens": self.vocabulary.encode(names, LENGTH), "y": torch.full((len(names),), style)}


def recognised(images: Tensor, labels: Tensor, classes: Tensor, classifier: Extractor, seed: int = 0) -> float:
    """How often the classifier prefers an image's own name to up to 99 others that are drawn from `classes`. Images are
    `(N, C, H, W)`, the numbers of their names `(N,)`."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = classifier.probabilities(images)
    right = 0
    for row, label in zip(probabilities, labels.tolist(), strict=True):
        others = classes[classes != label]
        others = others[torch.randperm(len(others), generator=generator)[: CANDIDATES - 1]]
        right += bool(row[label] > row[others].max())
    return right / len(images)


def main(config: DiffusionEmoji) -> None:
    with open_run(config, "diffusion_emoji", trainings=1 + config.latent) as run:
        config = quick(config)
        drawings = load_drawings(config, run.device)
        images, known = drawings.images, drawings.known
        classifier = train_extractor(images, images, run.folder, steps=run.steps(CLASSIFIER_STEPS))
        train = images.where(known)
        codec: Codec = Pixels(train.shape)
        if config.latent:
            vae = run.train("vae", lambda: latent_vae(train.shape, config.channels), run.loader(x=train.x))
            codec = Latents(vae, train.x)

        vocabulary = Vocabulary(images.classes[label] for label in train.y.unique())
        tokens = vocabulary.encode(images.classes, LENGTH).to(run.device)
        setup = DiffusionConfig(
            shape=codec.shape, formulation=config.formulation, classes=len(drawings.styles), text=True
        )
        model = run.train(
            "diffusion",
            lambda: diffusion_unet(
                setup,
                channels=config.channels,
                text=TextEncoder(vocabulary=len(vocabulary), length=LENGTH, width=4 * config.channels),
            ),
            run.loader(x=codec.encode(train.x), y=drawings.style[known], tokens=tokens[train.y]),
            warmup_steps=100,
            decay_steps=run.steps(config.train.steps) // 3,
            ema_width=config.ema_width,
        )
        artist = Artist(model, codec, vocabulary, config)

        rows: list[list[object]] = []
        groups = {"names of the training": known, "names kept from it": ~known}
        groups = {name: group for name, group in groups.items() if group.any()}
        everything = torch.arange(len(images.classes))
        for name, group in groups.items():
            labels = images.y[group].unique().cpu()
            labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:ASKED]]
            for number, style in enumerate(drawings.styles):
                real = group & (drawings.style == number)
                fake = artist([images.classes[label] for label in labels], number, seed=config.seed)
                rows.append(
                    [
                        name,
                        style,
                        len(labels),
                        recognised(fake, labels, everything, classifier),
                        recognised(images.x[real], images.y[real].cpu(), everything, classifier),
                    ]
                )

        report = run.report(
            "Emoji from their names" if len(drawings.styles) > 1 else "Images from their names",
            f"{images.name}: {len(train)} drawings of {len(train.y.unique())} names to train on; "
            f"{len(vocabulary.words)} words are known, others are spelled.",
        )
        picture = names_picture(artist, drawings, config)
        report.figure(picture, "Names of the training, then names kept from it, in pairs: real and drawn; not selected")
        report.figure(texts_picture(artist, drawings.styles, config), "Texts of one's own, several drawings of each")
        header = ["", "style", "drawn", "own name among 100, drawn", "real drawings"]
        report.table(rows, header)
        report.text(
            f"{config.sampling_steps} steps of {config.sampler}, guidance {config.guidance:g}. Labelled by our own CNN "
            f"that tells the {len(images.classes)} names apart and was trained on all real drawings; where there are "
            f"fewer than {CANDIDATES} names, among all of them. Chance is {1 / min(CANDIDATES, len(everything)):.1%}."
        )
        results = {"data": images.name, "scores": [dict(zip(["group", *header[1:]], row, strict=True)) for row in rows]}
        run.save(report, results, picture)


def names_picture(artist: Artist, drawings: Drawings, config: DiffusionEmoji) -> Figure:
    rows, labels = [], []
    for group in (drawings.known, ~drawings.known):
        for number, style in enumerate(drawings.styles):
            chosen = (group & (drawings.style == number)).nonzero()[:, 0]
            if not len(chosen):
                continue
            # As many from anywhere in the list, over again if there are too few.
            chosen = chosen[torch.linspace(0, len(chosen) - 1, SHOWN).long()]
            names = [drawings.images.classes[label] for label in drawings.images.y[chosen]]
            rows += [drawings.images.x[chosen], artist(names, number, seed=config.seed)]
            labels += [f"{style} real", f"{style} drawn"]
    return image_grid(torch.stack(rows), rows=[label.strip() for label in labels])


def texts_picture(artist: Artist, styles: tuple[str, ...], config: DiffusionEmoji) -> Figure:
    count = SHOWN // len(styles)
    rows = [
        torch.cat(
            [artist([text] * count, style, negative=config.negative, seed=config.seed) for style in range(len(styles))]
        )
        for text in config.texts or ("",)
    ]
    return image_grid(torch.stack(rows), rows=config.texts)


if __name__ == "__main__":
    sys.exit(run_recipe(DiffusionEmoji, main, __doc__))
