"""The lecture's gallery: its recipes, one after the other, and a page with what came out.

    python -m recipes.gallery --mnist datasets/mnist --emoji datasets/emoji --openmoji datasets/openmoji
    python -m recipes.gallery --pages-only

Runs what is not yet in `--runs`, goes on with what was stopped there or ended by its budget, and writes a page of
pictures and figures to `--docs`, with what each recipe must reach and whether it did. With --pages-only nothing is
trained. Twelve runs of at most ten minutes each, and four of up to half an hour that translate and diffuse: about three
hours on two cores.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image, ImageSequence

from generative_core.files import write_atomically
from recipes._command import run_recipe
from voiceconv.errors import UserError

WIDEST = 1100  # pixels of a picture
WIDEST_MOVING = 640
FIRST_LINES = """# The lecture, run

The recipes of the lecture, in [its order](../lecture.md), each with the command that ran it. This page is written by
`make gallery MNIST=datasets/mnist EMOJI=datasets/emoji OPENMOJI=datasets/openmoji` from what the runs left; nothing in
it is selected or edited. MNIST is a folder as torchvision lays it out (a recipe fetches it with `--download`), EMOJI
one of drawings with `emoji.json` (`recipes/_image_data.py` says what it holds), OPENMOJI one with the drawings of
OpenMoji in `black` and `color`, and RUNS where the runs are.
"""


@dataclass(frozen=True)
class GalleryConfig:
    """Where data, runs and pages are."""

    mnist: Path | None = None
    """Folder with MNIST as torchvision lays it out."""
    emoji: Path | None = None
    """Folder of emoji drawings with emoji.json."""
    openmoji: Path | None = None
    """Folder with the drawings of OpenMoji, as lines in one folder and in colour in another."""
    runs: Path = Path("runs/gallery")
    docs: Path = Path("docs/gallery")
    pages_only: bool = False
    """Train nothing, and write the page from the runs that are there."""


class Figures(NamedTuple):
    """The figures to show, and what the recipe must reach, each with whether it did."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    targets: dict[str, bool]


class Entry(NamedTuple):
    """One run of the gallery, and how its `results.json` becomes figures."""

    name: str
    recipe: str
    data: Literal["mnist", "emoji", "openmoji"] | None
    figures: Callable[[dict[str, Any]], Figures]
    options: str = ""
    """What the recipe is told beside; `RUNS` stands for the folder of all runs."""


def gan_points(results: dict[str, Any]) -> Figures:
    films = {name: value for name, value in results.items() if isinstance(value, dict)}
    return Figures(
        ("distance to the real points", "at the first step", "at the end", "with averaged weights", "real, at random"),
        [(name, *film.values()) for name, film in films.items()],
        {f"{name}, at most three times the floor": film["last"] <= 3 * film["floor"] for name, film in films.items()},
    )


def autoencoder_mnist(results: dict[str, Any]) -> Figures:
    mse, pca = results["test_mse"], results["pca_mse"]
    return Figures(
        ("latent size", "test MSE", "test MSE of PCA"),
        [(latent, mse[latent], pca[latent]) for latent in mse],
        {
            "test MSE falls with every size": results["falls_with_every_size"],
            "below PCA's at 2, 5 and 10 numbers": all(mse[size] < pca[size] for size in mse if int(size) <= 10),
        },
    )


def denoising_mnist(results: dict[str, Any]) -> Figures:
    psnr = results["psnr"]
    return Figures(
        ("noise", "PSNR of the noisy image, dB", "of the best filter", "denoised", "gain"),
        [(noise, *(row[key] for key in ("noisy", "filtered", "denoised", "gain"))) for noise, row in psnr.items()],
        {
            f"{noise}: above the noisy image and the filter": row["denoised"] > max(row["noisy"], row["filtered"])
            for noise, row in psnr.items()
        },
    )


def vae_mnist(results: dict[str, Any]) -> Figures:
    density, quality = results["density"], results["quality"]
    rows = [
        (
            name,
            *(density.get(name, {}).get(key) for key in ("elbo", "kl", "log_likelihood")),
            *(found[key] for key in ("completeness", "fitted", "continuity", "fid")),
        )
        for name, found in quality.items()
    ]
    small, large = [name.removeprefix("VAE, ") for name in density]
    above = {
        f"completeness above the autoencoder's, {size}": (
            quality[f"VAE, {size}"]["completeness"] > quality[f"AE, {size}"]["completeness"]
        )
        for size in (small, large)
    }
    return Figures(
        (
            "model",
            "ELBO, nats",
            "KL",
            "importance-weighted log p(x)",
            "completeness",
            "own samples",
            "continuity",
            "FID",
        ),
        rows,
        {f"more than -105 nats, {large}": density[f"VAE, {large}"]["elbo"] > -105, **above},
    )


def beta_vae(results: dict[str, Any]) -> Figures:
    sprites = results["sprites"]
    names = ("mig", "disentanglement", "completeness", "informativeness", "reconstruction")
    means = {beta: {name: _mean(seed[name] for seed in seeds) for name in names} for beta, seeds in sprites.items()}
    migs = {beta: [seed["mig"] for seed in seeds] for beta, seeds in sprites.items()}
    reconstruction = [means[beta]["reconstruction"] for beta in sorted(means, key=float)]
    return Figures(
        ("beta, on sprites", "MIG", "lowest", "highest", *names[1:-1], "log p(x given z), nats"),
        [
            (beta, row["mig"], min(migs[beta]), max(migs[beta]), *(row[name] for name in names[1:]))
            for beta, row in means.items()
        ],
        {
            "MIG higher at a heavier beta than at 1, every seed above every seed": any(
                min(values) > max(migs["1"]) for beta, values in migs.items() if float(beta) > 1
            ),
            "reconstruction falls with every beta": reconstruction == sorted(reconstruction, reverse=True),
        },
    )


def debiasing_vae(results: dict[str, Any]) -> Figures:
    rows, bounds = [], {}
    for way, seeds in results["recognised"].items():
        gaps = [max(rates[:-1]) - min(rates[:-1]) for rates in seeds]
        gap = _mean(gaps)
        spread = (sum((value - gap) ** 2 for value in gaps) / max(1, len(gaps) - 1)) ** 0.5
        groups = [_mean(rates[group] for rates in seeds) for group in range(len(results["groups"]))]
        false_alarms = _mean(rates[-1] for rates in seeds)
        rows.append((way, *groups, gap, spread, false_alarms, (_mean(groups) + 1 - false_alarms) / 2))
        bounds[way] = (gap - spread, gap + spread)
    lowest = bounds.pop("standard")[0]
    return Figures(
        ("recognised", *results["groups"], "gap", "± sd", "false alarms", "balanced accuracy"),
        rows,
        {
            "a smaller gap at some alpha, beyond the spread over seeds": any(
                high < lowest for _, high in bounds.values()
            )
        },
    )


def anomaly(results: dict[str, Any]) -> Figures:
    names = list(results["mean_auroc"])
    rows = [(outlier, *(row[name] for name in names)) for outlier, row in results["auroc"].items()]
    if len(rows) == 1:
        return Figures(("AUROC", *names), rows, {})
    mean = results["mean_auroc"]
    target = {"mean AUROC above 0.8 for the ELBO": mean["negative ELBO"] > 0.8}
    return Figures(("AUROC, left out", *names), [*rows, ("mean", *mean.values())], target)


def augmentation(results: dict[str, Any]) -> Figures:
    accuracy, gain = results["accuracy"], results["gain"]
    fewest = gain[min(gain, key=int)]["generated over real only"]
    return Figures(
        ("real images a class", *next(iter(accuracy.values())), *next(iter(gain.values()))),
        [
            (size, *map(_interval, row.values()), *(_interval(value, "+") for value in gain[size].values()))
            for size, row in accuracy.items()
        ],
        {"generated images beat none with the fewest real ones": fewest["mean"] > (fewest["half"] or 0)},
    )


def gan_mnist(results: dict[str, Any]) -> Figures:
    scores = results["scores"]
    collapsed, cured = (row for name, row in scores.items() if name.startswith("momentum"))
    real = scores["real images"]
    losses = {name: row for name, row in scores.items() if not name.startswith(("momentum", "real"))}
    return Figures(
        ("loss", "FID", "KID", "precision", "recall", "digits covered", "worst FID, second half"),
        [(name, *row) for name, row in scores.items()],
        {
            "all ten digits with every loss": all(row[4] == real[4] for row in losses.values()),
            "FID at most five times that of real images, every loss": all(
                row[0] <= 5 * real[0] for row in losses.values()
            ),
            "fewer digits when it collapses": collapsed[4] < real[4],
            "all of them again with R1 and R2": cured[4] == real[4],
        },
    )


def conditional_gan(results: dict[str, Any]) -> Figures:
    header = ("class", "seen right, generated", "seen right, real", "FID", "FID of real images")
    rows = [tuple(row[name] for name in header) for row in results["classes"]]
    whole = ("all", results["accuracy"], results["real_accuracy"], results["scores"]["fid"], results["floor"]["fid"])
    return Figures(header, [*rows, whole], {"95 % of the samples seen right": results["accuracy"] >= 0.95})


def style_gan(results: dict[str, Any]) -> Figures:
    psi = {f"generated, psi {psi}": scores for psi, scores in results["truncation"].items()}
    in_z, in_w = results["path_length"].values()
    curve = [fid for _, fid in results["curve"]]
    return Figures(
        ("", "FID", "KID", "precision", "recall"),
        [(name, *scores.values()) for name, scores in {**psi, "real images": results["floor"]}.items()],
        {
            f"path length in W ({_show(in_w)}) below that in Z ({_show(in_z)})": in_w < in_z,
            f"FID falls along the training ({_show(curve[0])} to {_show(curve[-1])})": curve[-1] < curve[0],
        },
    )


def pix2pix(results: dict[str, Any]) -> Figures:
    return _translations({"lines to colours": results["scores"]})


def cyclegan(results: dict[str, Any]) -> Figures:
    names = {"ab": "Noto to Twemoji", "ba": "Twemoji to Noto"}
    return _translations({names[direction]: scores for direction, scores in results["scores"].items()})


def _translations(tables: dict[str, list[dict[str, Any]]]) -> Figures:
    """The tables of a translation in one or two directions, of which each has the input, the change of colours, the
    translation and real pictures as rows, in this order."""
    names = list(next(iter(tables.values()))[0])[1:]
    rows, targets = [], {}
    for direction, scores in tables.items():
        rows += [(f"{direction}: {row['name']}", *(row[name] for name in names)) for row in scores]
        *baselines, translated, _ = scores
        for name in names:
            sign = -1 if name == "SSIM" else 1
            targets[f"{direction}, {name} better than the input's and than a change of colours"] = all(
                sign * translated[name] < sign * baseline[name] for baseline in baselines
            )
    return Figures(("", *names), rows, targets)


def diffusion_mnist(results: dict[str, Any]) -> Figures:
    unguided, guided, real = results["scores"]
    return Figures(
        ("in 20 steps", *list(unguided)[1:]),
        [tuple(row.values()) for row in results["scores"]],
        {
            "FID within twice that of real images, unguided": unguided["FID"] <= 2 * real["FID"],
            "99 % seen as asked for, guided": guided["seen as asked for"] >= 0.99,
        },
    )


def diffusion_few_steps(results: dict[str, Any]) -> Figures:
    scores = results["scores"]
    teacher = max((row for row in scores if row["name"] == "teacher"), key=lambda row: row["steps"])
    student = max((row for row in scores if row["name"] == "student"), key=lambda row: row["steps"])
    return Figures(
        ("", "steps", "FID", "seen as asked for"),
        [tuple(row.values()) for row in scores],
        {
            f"FID in {student['steps']} steps within 1.5 times the teacher's in {teacher['steps']}": (
                student["fid"] <= 1.5 * teacher["fid"]
            )
        },
    )


ENTRIES = (
    Entry("autoencoder_mnist", "autoencoder_mnist", "mnist", autoencoder_mnist),
    Entry("denoising_mnist", "denoising_mnist", "mnist", denoising_mnist),
    Entry("vae_mnist", "vae_mnist", "mnist", vae_mnist),
    Entry("beta_vae", "beta_vae", "mnist", beta_vae),
    Entry("debiasing_vae", "debiasing_vae", "emoji", debiasing_vae),
    Entry("anomaly", "anomaly", "mnist", anomaly),
    Entry("anomaly_emoji", "anomaly", "emoji", anomaly),
    Entry("gan_points", "gan_points", None, gan_points),
    Entry("gan_mnist", "gan_mnist", "mnist", gan_mnist),
    Entry("conditional_gan", "conditional_gan", "mnist", conditional_gan),
    Entry("augmentation", "augmentation", "mnist", augmentation),
    Entry("style_gan", "style_gan", "emoji", style_gan),
    Entry(
        "pix2pix",
        "pix2pix",
        "openmoji",
        pix2pix,
        "--task openmoji --channels 16 --train.batch-size 4 --train.steps 11000 --budget 30m",
    ),
    Entry("cyclegan", "cyclegan", "emoji", cyclegan, "--channels 16 --train.steps 4000 --budget 30m"),
    Entry("diffusion_mnist", "diffusion_mnist", "mnist", diffusion_mnist, "--budget 30m"),
    Entry(
        "diffusion_few_steps",
        "diffusion_few_steps",
        "mnist",
        diffusion_few_steps,
        "--teacher RUNS/diffusion_mnist --train.batch-size 32 --train.steps 600 --budget 20m",
    ),
)


def main(config: GalleryConfig) -> None:
    if not config.pages_only:
        data = {"mnist": config.mnist, "emoji": config.emoji, "openmoji": config.openmoji}
        missing = [f"--{name} FOLDER" for name, folder in data.items() if folder is None]
        if missing:
            raise UserError(f"Say where the data is: {', '.join(missing)}. Or train nothing: --pages-only.")
        for entry in ENTRIES:
            train(entry, config.runs / entry.name, data[entry.data] if entry.data else None)
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
    """`README.md` and its pictures from the runs that have results; the others are named on the page."""
    docs.mkdir(parents=True, exist_ok=True)
    parts, unfinished = [FIRST_LINES], []
    for entry in ENTRIES:
        folder = runs / entry.name
        if (folder / "results.json").is_file():
            parts.append(section(entry, folder, docs))
        else:
            unfinished.append(entry.name)
    if unfinished:
        parts.insert(1, f"**Not run to its end yet:** {', '.join(unfinished)}.\n")
        print(f"Not run to its end yet: {', '.join(unfinished)}.")
    write_atomically(docs / "README.md", "\n".join(parts).encode())
    print(f"The page is {docs / 'README.md'}.")


def section(entry: Entry, folder: Path, docs: Path) -> str:
    """The part of the page on one run, whose pictures it puts beside the page."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    title, shows, target = description(entry.recipe)
    if entry.name != entry.recipe:
        title = f"{title}, on {entry.data}"
    figures = entry.figures(results)
    moving = folder / "animation.gif"
    shrink(moving if moving.is_file() else folder / "picture.png", docs / f"{entry.name}.webp")
    lines = [f"## {title}", "", *([shows, ""] if shows else []), f"![{entry.name}]({entry.name}.webp)", ""]
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
            shown += [word, str(entry.data).upper()]
        elif word == "--teacher":
            shown += [word, f"RUNS/{Path(next(words)).name}"]
        elif word != "--resume":
            shown.append(word)
    return " ".join(shown)


def description(recipe: str) -> tuple[str, str, str]:
    """Title, sentence and target of a recipe, as its docstring has them."""
    text = importlib.import_module(f"recipes.{recipe}").__doc__ or ""
    title, _, shows = text.split("\n", 1)[0].partition(": ")
    found = re.search(r"(?:Must|Should) (?:reach|tell): .*?[.)](?=\s+[A-Z`]|\s*$)", text, re.DOTALL)
    assert found, f"the docstring of {recipe} does not say what it must reach"
    return title.rstrip("."), shows[:1].upper() + shows[1:], " ".join(found.group().split())


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
    return f"| {' | '.join(map(_show, cells))} |"


def _show(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _interval(value: dict[str, float | None], sign: str = "") -> str:
    mean, half = value["mean"], value["half"]
    return f"{mean:{sign}.3f}" + ("" if half is None else f" ± {half:.3f}")


def _mean(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    sys.exit(run_recipe(GalleryConfig, main, __doc__))
