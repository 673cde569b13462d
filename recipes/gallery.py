"""Runs the lecture's recipes one after the other, and writes a page of their results.

    python -m recipes.gallery --mnist MNIST --emoji EMOJI --emoji-3d EMOJI_3D --openmoji OPENMOJI --earth EARTH
                             --speech SPEECH
    python -m recipes.gallery --pages-only

Runs what is not yet in `--runs`, resumes what was stopped there or ended by its budget, and writes a page of pictures
and figures to `--docs`, with what each recipe must reach and whether it did. With --pages-only nothing is trained. What
the page says of a run that is no longer in `--runs` stays as it is. All runs take about six hours: twelve of at most
ten minutes each, and those of translation and diffusion of up to an hour and a half.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageSequence

from generative_core.files import write_atomically
from recipes.common import gallery_tables as _gallery_figures
from recipes.common.command import run_recipe
from recipes.common.gallery_tables import Figures, show
from voiceconv.errors import UserError

WIDEST = 1100  # pixels of a picture
WIDEST_MOVING = 640
FIRST_LINES = """# The lecture, run

The recipes of the lecture, in [its order](../lecture.md), each with the command that ran it. This page is written by
`make gallery` from what the runs left; nothing in it is selected or edited. MNIST is a folder as torchvision lays it
out (a recipe fetches it with `--download`), EMOJI one of drawings with `emoji.json` (`recipes/common/image_data.py`
says what it holds), EMOJI_3D one that `python -m recipes.make_data emoji` makes, OPENMOJI one with the drawings of
OpenMoji in `black` and `color`, EARTH one with maps of the Earth by day and by night, SPEECH one with recordings of one
speaker, and RUNS where the runs are.
"""


@dataclass(frozen=True)
class GalleryConfig:
    """Where data, runs and pages are."""

    mnist: Path | None = None
    """Folder with MNIST as torchvision lays it out."""
    emoji: Path | None = None
    """Folder of emoji drawings with emoji.json."""
    emoji_3d: Path | None = None
    """Folder of flat and three-dimensional emoji, which `python -m recipes.make_data emoji` makes."""
    openmoji: Path | None = None
    """Folder with the drawings of OpenMoji, as lines in `black` and in colour in `color`."""
    earth: Path | None = None
    """Folder with two maps of the whole Earth whose file names say day and night."""
    speech: Path | None = None
    """Folder with recordings of one speaker."""
    runs: Path = Path("runs/gallery")
    """Folder of the runs."""
    docs: Path = Path("docs/gallery")
    """Folder for the page and its pictures."""
    pages_only: bool = False
    """Train nothing, and write the page from the runs that are there."""


class Entry(NamedTuple):
    """One run of the gallery."""

    name: str
    recipe: str
    data: str | None
    """Which of the folders it gets, or a folder within one of them."""
    options: str = ""
    """Further options of the recipe; `RUNS` stands for the folder of all runs."""
    subject: str | None = None
    """What the title adds to the recipe's own."""

    def folder(self, config: GalleryConfig) -> Path | None:
        """Where its data is."""
        if self.data is None:
            return None
        name, _, within = self.data.partition("/")
        folder: Path | None = getattr(config, name)
        return folder and folder / within

    def figures(self, results: dict[str, Any]) -> Figures:
        """What its `results.json` says."""
        found: Figures = getattr(_gallery_figures, self.recipe)(results)
        return found


EARTH = (
    "--crop-size 128 --network unet_128 --channels 32 --train.batch-size 4 --train.steps 700 --budget 10m "
    "--precision auto"
)
ENTRIES = (
    Entry("autoencoder_mnist", "autoencoder_mnist", "mnist"),
    Entry("denoising_mnist", "denoising_mnist", "mnist"),
    Entry("vae_mnist", "vae_mnist", "mnist"),
    Entry("beta_vae", "beta_vae", "mnist"),
    Entry("debiasing_vae", "debiasing_vae", "emoji"),
    Entry("anomaly", "anomaly", "mnist"),
    Entry("anomaly_emoji", "anomaly", "emoji", subject="on emoji"),
    Entry("gan_points", "gan_points", None),
    Entry("gan_mnist", "gan_mnist", "mnist"),
    Entry("conditional_gan", "conditional_gan", "mnist"),
    Entry("augmentation", "augmentation", "mnist"),
    Entry("style_gan", "style_gan", "emoji"),
    Entry(
        "pix2pix",
        "pix2pix",
        "openmoji",
        "--task openmoji --channels 16 --train.batch-size 4 --train.steps 11000 --budget 30m",
        "lines to colours",
    ),
    Entry(
        "pix2pix_colourise",
        "pix2pix",
        "openmoji/color",
        "--task colourise --crop-size 128 --network unet_128 --channels 16 --upsampling resize --train.batch-size 4 "
        "--train.steps 1500 --budget 12m --precision auto",
        "black-and-white to colour",
    ),
    Entry(
        "pix2pix_flat_to_3d",
        "pix2pix",
        "emoji_3d",
        "--task flat_to_3d --channels 24 --upsampling resize --input-skip --no-dropout --averaged --adversarial lsgan "
        "--lambda-features 10 --rate 4e-4 --precision auto --train.batch-size 4 --train.steps 10000 --budget 85m",
        "flat to three-dimensional",
    ),
    Entry("pix2pix_map", "pix2pix", None, f"--task map {EARTH}", "from above to the map"),
    Entry("pix2pix_labels", "pix2pix", None, f"--task map --direction ba {EARTH}", "from the map to the picture"),
    Entry(
        "pix2pix_day_night",
        "pix2pix",
        "earth",
        "--task day_night --channels 32 --upsampling resize --train.batch-size 4 --train.steps 500 --budget 8m "
        "--precision auto",
        "from day to night",
    ),
    Entry("cyclegan", "cyclegan", "emoji", "--channels 16 --train.steps 4000 --budget 30m"),
    Entry(
        "cut",
        "cyclegan",
        "emoji",
        "--model cut --channels 16 --train.batch-size 4 --train.steps 1500 --budget 12m --precision auto",
        "here CUT",
    ),
    Entry("diffusion_mnist", "diffusion_mnist", "mnist", "--budget 30m"),
    Entry(
        "diffusion_few_steps",
        "diffusion_few_steps",
        "mnist",
        "--teacher RUNS/diffusion_mnist --train.batch-size 32 --train.steps 600 --budget 20m",
    ),
    Entry(
        "diffusion_emoji",
        "diffusion_emoji",
        "emoji",
        "--train.steps 5000 --train.batch-size 48 --budget 65m",
    ),
    Entry(
        "diffusion_restore",
        "diffusion_restore",
        "openmoji/color",
        "--train.batch-size 48 --train.steps 1800 --budget 28m",
    ),
    Entry(
        "diffusion_voice",
        "diffusion_voice",
        "speech",
        "--train.batch-size 4 --train.steps 2000 --budget 25m",
    ),
)


def main(config: GalleryConfig) -> None:
    if not config.pages_only:
        needed = {entry.data.partition("/")[0] for entry in ENTRIES if entry.data}
        missing = [f"--{name.replace('_', '-')} FOLDER" for name in sorted(needed) if getattr(config, name) is None]
        if missing:
            raise UserError(f"Say where the data is: {', '.join(missing)}. Or train nothing: --pages-only.")
        for entry in ENTRIES:
            train(entry, config.runs / entry.name, entry.folder(config))
    write_page(config.runs, config.docs)


def train(entry: Entry, folder: Path, data: Path | None) -> None:
    """Runs the recipe, or goes on with it where it was stopped or its budget ended it early; one that fails is left
    for the page to name."""
    path = folder / "results.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("unfinished") == []:
        print(f"{entry.name}: already there")
        return
    words = [word.replace("RUNS", str(folder.parent)) for word in entry.options.split()]
    words += ["--run", str(folder), *(["--data", str(data)] if data else [])]
    words += ["--resume"] if (folder / "config.json").is_file() else []
    print(f"{entry.name}: python -m recipes.{entry.recipe} {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", f"recipes.{entry.recipe}", *words], check=False)


def write_page(runs: Path, docs: Path) -> None:
    """`README.md` and its pictures from the runs that have results; of the others the page keeps what it says, and
    names them if it says nothing."""
    docs.mkdir(parents=True, exist_ok=True)
    parts, unfinished = [FIRST_LINES], []
    kept = sections(docs / "README.md")
    for entry in ENTRIES:
        folder = runs / entry.name
        if (folder / "results.json").is_file():
            parts.append(section(entry, folder, docs))
        elif entry.name in kept:
            parts.append(kept[entry.name])
        else:
            unfinished.append(entry.name)
    if unfinished:
        parts.insert(1, f"**Not run to its end yet:** {', '.join(unfinished)}.\n")
        print(f"Not run to its end yet: {', '.join(unfinished)}.")
    write_atomically(docs / "README.md", "\n".join(parts).encode())
    print(f"The page is {docs / 'README.md'}.")


def sections(page: Path) -> dict[str, str]:
    """The parts of a page by the names of their runs; none if there is no page."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    parts = [f"## {part.rstrip()}\n" for part in text.split("\n## ")[1:]]
    return {found[1]: part for part in parts if (found := re.search(r"^!\[(\w+)\]", part, re.MULTILINE))}


def section(entry: Entry, folder: Path, docs: Path) -> str:
    """The part of the page on one run, whose pictures it puts beside the page."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    title, target = description(entry.recipe)
    if entry.subject:
        title = f"{title}, {entry.subject}"
    figures = entry.figures(results)
    moving = folder / "animation.gif"
    shrink(moving if moving.is_file() else folder / "picture.png", docs / f"{entry.name}.webp")
    lines = [f"## {title}", "", f"![{entry.name}]({entry.name}.webp)", ""]
    lines += [_row(figures.header), _row(["---"] * len(figures.header)), *map(_row, figures.rows), ""]
    if figures.targets:
        lines += [target, ""]
        lines += [
            f"- {'reached' if reached else '**not reached**'}: {what}" for what, reached in figures.targets.items()
        ]
        lines += [""]
    if early := results["unfinished"]:
        lines += [f"Not trained to the end, for want of time: {', '.join(early)}.", ""]
    lines += [f"`{command(entry, results)}`: {results['seconds']} s on {results['machine']}.", ""]
    return "\n".join(lines)


def command(entry: Entry, results: dict[str, Any]) -> str:
    """The command that ran it, with names for the folders of data and runs, and without what the result does not
    depend on."""
    words, shown = iter(shlex.split(results["command"])), []
    for word in words:
        if word == "--run":
            next(words)
        elif word == "--data":
            next(words)
            name, slash, within = str(entry.data).partition("/")
            shown += [word, name.upper() + slash + within]
        elif word == "--teacher":
            shown += [word, f"RUNS/{Path(next(words)).name}"]
        elif word != "--resume":
            shown.append(word)
    return " ".join(shown)


def description(recipe: str) -> tuple[str, str]:
    """What a recipe does, as a title, and what it must reach, as its docstring has them."""
    text = importlib.import_module(f"recipes.{recipe}").__doc__ or ""
    title = text.split("\n", 1)[0]
    found = re.search(r"(?:Must|Should) (?:reach|tell): .*?[.)](?=\s+[A-Z`]|\s*$)", text, re.DOTALL)
    assert found, f"the docstring of {recipe} does not say what it must reach"
    return title.rstrip("."), " ".join(found.group().split())


def shrink(source: Path, target: Path) -> None:
    """A picture as WebP; of one that moves every third frame, so that the last one, which rests, is among them."""
    with Image.open(source) as picture:
        frames = ImageSequence.all_frames(picture)[::-3][::-1]
    widest = WIDEST if len(frames) == 1 else WIDEST_MOVING
    height = round(frames[0].height * min(1, widest / frames[0].width))
    size = (min(widest, frames[0].width), height)
    small = [frame.convert("RGB").resize(size, Image.Resampling.LANCZOS) for frame in frames]
    if len(frames) == 1:
        small[0].save(target, quality=85)
    else:
        times = [*(3 * frame.info["duration"] for frame in frames[:-1]), frames[-1].info["duration"]]
        small[0].save(target, save_all=True, append_images=small[1:], duration=times, loop=0, quality=40)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(show, cells))} |"


if __name__ == "__main__":
    sys.exit(run_recipe(GalleryConfig, main, __doc__))
