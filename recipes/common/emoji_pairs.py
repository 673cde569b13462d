"""Pairs flat drawings of emoji with three-dimensional renderings of the same emoji."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

SEEN_AT = 24  # pixels at which two drawings are compared, so that shading and fine lines do not count
FEWEST_SHARED = 0.8  # of the pixels that either drawing covers
SKIN_TONE = re.compile(r"-1f3f[b-f]")
WORDS_OF_TONES = re.compile(r"-(medium-light|medium-dark|light|medium|dark)\b")
PERSONS = {"man", "woman", "person", "men", "women", "people"}


def code_points(text: str) -> str:
    """`263A-FE0F` -> `263a`: without the variation selector, which packages write or leave out as they like."""
    return "-".join(point for point in text.lower().split("-") if point != "fe0f")


def subject(icon: str) -> str:
    """`woman-judge-medium-light` -> `judge`. All genders and skin tones of an emoji are one drawing with other
    colours, so they share a name, and with it a side of the split into training and test."""
    words = [word for word in WORDS_OF_TONES.sub("", icon).split("-") if word not in PERSONS]
    return " ".join(words) or "person"


def matching_tones(flat: Mapping[str, Image.Image], rendered: Mapping[str, Image.Image]) -> dict[str, str]:
    """Which rendering belongs to which flat drawing, both by their code points.

    It is the one with the same code points, except among the skin tones of one emoji: there the pairs are chosen whose
    colours lie nearest. The renderings of 288 emoji have medium-light and medium skin exchanged.
    """
    partners = {key: key for key in flat if key in rendered}
    tones: dict[str, list[str]] = {}
    for key in partners:
        if SKIN_TONE.search(key):
            tones.setdefault(SKIN_TONE.sub("", key), []).append(key)
    for keys in tones.values():
        sides = [np.stack([_colours(side[key]) for key in keys]) for side in (flat, rendered)]
        distances = np.abs(sides[0][:, None] - sides[1][None]).mean((2, 3, 4))
        for number, partner in zip(*linear_sum_assignment(distances), strict=True):
            partners[keys[number]] = keys[partner]
    return partners


def shared_silhouette(one: Image.Image, other: Image.Image) -> float:
    """The share of the pixels covered by either of two drawings that both cover, 0 to 1."""
    covered = [_silhouette(image) for image in (one, other)]
    return float((covered[0] & covered[1]).sum() / max(1, (covered[0] | covered[1]).sum()))


def same_design(
    partners: Mapping[str, str], flat: Mapping[str, Image.Image], rendered: Mapping[str, Image.Image]
) -> list[str]:
    """The flat drawings whose silhouette their partner shares by at least 80 %, in order."""
    return sorted(k for k, other in partners.items() if shared_silhouette(flat[k], rendered[other]) >= FEWEST_SHARED)


def _colours(image: Image.Image) -> NDArray[np.float32]:
    """On white, `(24, 24, 3)` in 0 to 255."""
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return np.asarray(page.convert("RGB").resize((SEEN_AT, SEEN_AT), Image.Resampling.BOX), np.float32)


def _silhouette(image: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(image.convert("RGBA").getchannel("A").resize((96, 96), Image.Resampling.BOX)) >= 128
