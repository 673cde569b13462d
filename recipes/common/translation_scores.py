"""Scores translated pictures against those of the other domain: L1, SSIM, perceptual distance and FID."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from generative_core.metrics import fid, ssim
from recipes.common.extractor import Extractor, perceptual_distance, train_extractor, turned_four_ways
from recipes.common.gan import to_images
from recipes.common.image_data import Images
from recipes.common.image_figures import image_grid
from recipes.common.image_run import Run
from recipes.common.translation import Setting
from recipes.common.translation_data import Domains

SCORED = 1000  # at most so many pictures in a score
SCORED_SIZE = 64  # pixels, to which pictures are brought for the extractor
SHOWN = 8  # pictures in a figure


def in_colour(x: Tensor) -> Tensor:
    """`(..., 1 or 3, H, W)` -> three planes."""
    return x.expand(*x.shape[:-3], 3, -1, -1)


def held_out(domains: Domains, setting: Setting) -> tuple[list[Tensor], list[Tensor]]:
    """The test's pictures of A and of B, each `(C, H, W)` in [-1, 1], at most 1000 of each, spread evenly."""
    prepared = setting.reader.preparation.for_testing()
    sides = []
    for side in (domains.test_a, domains.test_b):
        chosen = torch.linspace(0, len(side) - 1, min(SCORED, len(side))).long().tolist()
        sides.append([prepared.shown([side[i]], None)[0] for i in chosen])
    return sides[0], sides[1]


@torch.no_grad()
def translate_all(
    translate: Callable[[Tensor], Tensor], pictures: Sequence[Tensor], device: torch.device
) -> list[Tensor]:
    """Each of many `(C, H, W)` by itself, so that sizes may differ and batches have no say; onto the CPU."""
    return [translate(x[None].to(device))[0].cpu() for x in pictures]


class ColourChange:
    """The translation that only makes colours like those of B on average: each channel's mean and deviation over the
    pictures of A to train on become those of B."""

    def __init__(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        self.a, self.b = (self._statistics(side) for side in (a, b))

    def __call__(self, x: Tensor) -> Tensor:
        """`(..., C, H, W)` in [-1, 1]."""
        (mean_a, deviation_a), (mean_b, deviation_b) = self.a, self.b
        return ((in_colour(x) - mean_a) / deviation_a * deviation_b + mean_b).clamp(-1, 1)

    @staticmethod
    def _statistics(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`(3, 1, 1)` each, from bytes; all pictures count alike."""
        values = [in_colour(x.float() / 127.5 - 1).flatten(1) for x in pictures]
        mean = torch.stack([v.mean(1) for v in values]).mean(0)
        square = torch.stack([v.square().mean(1) for v in values]).mean(0)
        return mean.view(3, 1, 1), (square - mean.square()).clamp(min=1e-6).sqrt().view(3, 1, 1)


SCORE_HEADER = ["", "L1", "SSIM", "perceptual distance", "FID"]


def beats(row: list[Any], baselines: Sequence[list[Any]]) -> bool:
    """Whether a row of scores is better than others in every score that there is: of all four only SSIM is better the
    higher it is."""
    signs = (1, -1, 1, 1)
    return all(
        sign * mine < sign * other
        for baseline in baselines
        for sign, mine, other in zip(signs, row[1:], baseline[1:], strict=True)
        if mine is not None
    )


class TranslationScores:
    """Scores translations against the test's pictures of the other domain: L1 and SSIM at full size in [0, 1],
    perceptual distance and FID by an extractor of our own at 64x64, which has learned on the pictures to train on to
    tell A from B and which of four ways is up, so that no labels are needed."""

    def __init__(self, run: Run, domains: Domains) -> None:
        train, test = (
            _which_way_up(f"{domains.name}, by domain and which way is up", *sides, run)
            for sides in ((domains.train_a, domains.train_b), (domains.test_a, domains.test_b))
        )
        steps = run.steps(800)
        self.extractor: Extractor = train_extractor(train, test, run.folder, seed=run.config.seed, steps=steps)
        self.device = run.device

    def row(self, name: str, fakes: Sequence[Tensor], reals: Sequence[Tensor], *, paired: bool) -> list[Any]:
        """A row of the table for pictures `(C, H, W)` in [-1, 1]."""
        fakes, reals = ([in_colour(to_images(x)) for x in side] for side in (fakes, reals))
        small = [self._small(side) for side in (fakes, reals)]
        distances: list[float | None] = [None, None, None]
        if paired:
            pairs = list(zip(fakes, reals, strict=True))
            l1 = sum(float((x - y).abs().mean()) for x, y in pairs) / len(pairs)
            similarity = sum(ssim(x[None], y[None]) for x, y in pairs) / len(pairs)
            distances = [l1, similarity, perceptual_distance(self.extractor, *small)]
        return [name, *distances, fid(small[1], small[0], self.extractor)]

    def floor_row(self, trained_on: Sequence[Tensor], reals: Sequence[Tensor]) -> list[Any]:
        """What FID says of real pictures: those trained on, in bytes, against the test's."""
        floor = self._small([_from_bytes(x) for x in trained_on[: len(reals)]])
        return [
            "real pictures",
            None,
            None,
            None,
            fid(self._small([to_images(x) for x in reals]), floor, self.extractor),
        ]

    def _small(self, pictures: Sequence[Tensor]) -> Tensor:
        return torch.cat([_at_scored_size(in_colour(x)) for x in pictures]).to(self.device)


def _from_bytes(x: Tensor) -> Tensor:
    return x.float() / 255


def _at_scored_size(x: Tensor) -> Tensor:
    size = (SCORED_SIZE, SCORED_SIZE)
    return F.interpolate(x[None], size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _which_way_up(name: str, a: Sequence[Tensor], b: Sequence[Tensor], run: Run) -> Images:
    """Pictures of both domains turned four ways; the class is the domain and the way."""
    x, y = [], []
    for domain, side in enumerate((a, b)):
        small = torch.cat([_at_scored_size(in_colour(_from_bytes(picture))) for picture in side[:SCORED]])
        turned, ways = turned_four_ways(small)
        x.append(turned)
        y.append(4 * domain + ways)
    classes = tuple(f"{domain}, {90 * turn}°" for domain in "AB" for turn in range(4))
    return Images(name, torch.cat(x), torch.cat(y), classes).to(run.device)


def gallery(rows: Mapping[str, Sequence[Tensor]], setting: Setting, inch: float = 1.1) -> Figure:
    """Pictures `(C, H, W)` in [-1, 1] side by side under each other, each row with its name; squares of one size."""
    size = min(setting.reader.preparation.crop_size, 256)
    lines = []
    for pictures in rows.values():
        chosen = torch.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).long().tolist()
        shown = [F.interpolate(in_colour(to_images(pictures[i]))[None], (size, size), mode="area")[0] for i in chosen]
        lines.append(torch.stack(shown))
    return image_grid(torch.stack(lines), rows=list(rows), inch=inch)
