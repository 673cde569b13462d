"""Loads images as tensors: MNIST, scikit-learn's digits, emoji, and folders of images.

A data set is small enough to be held in memory, on the device it is trained on: no workers, nothing read twice.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from recipes.common.picture_files import (
    EXTENSIONS,
    UnreadablePicture,
    in_few_words,
    in_text,
    list_pictures,
    read_picture,
    sub_folders,
    warn_of_others,
)
from voiceconv.errors import UserError

DEFAULT_SIZE = 32
SMALLEST_SIDE = 8  # pixels; smaller files are icons and leftovers
FEWEST_IMAGES = 10
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Images:
    """Images `x`, `(N, C, H, W)` in [0, 1], and the number `y`, `(N,)`, of each one's class."""

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of one image."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    def where(self, chosen: Tensor) -> Images:
        """The images that a mask or a list of indices chooses."""
        chosen = chosen.to(self.x.device)
        return replace(self, x=self.x[chosen], y=self.y[chosen])

    def to(self, device: torch.device) -> Images:
        return replace(self, x=self.x.to(device), y=self.y.to(device))


def load_images(
    data: Path | None,
    *,
    download: bool = False,
    size: int | None = None,
    channels: int | None = None,
    limit: int | None = None,
) -> tuple[Images, Images]:
    """The images to train on and those to test on, from what the folder `data` holds; None is scikit-learn's digits.

    Digits keep their size (28 or 8) and everything else becomes 32x32 unless `size` says otherwise; `channels` is
    1 or 3, or None for what the images have; `limit` bounds the number of either part. Raises `UserError` for a folder
    that cannot be used.
    """
    if data is None:
        if download:
            raise UserError("Say where to put the download: --data FOLDER --download.")
        parts = _split(_sklearn_digits())
    elif download or (data / "MNIST" / "raw").is_dir():
        parts = _mnist(data, download)
    elif (data / "emoji.json").is_file():
        parts = _emoji_by_category(data, size or DEFAULT_SIZE)
    else:
        parts = _split(image_folder(data, size or DEFAULT_SIZE))
    train, test = (_fit(part, size, channels) for part in parts)
    if limit is not None:
        train, test = train.where(torch.arange(min(limit, len(train)))), test.where(torch.arange(min(limit, len(test))))
    return train, test


def image_folder(folder: Path, size: int = DEFAULT_SIZE) -> Images:
    """The images of a folder, or of its sub-folders, which are then the classes; cut to their middle square.

    Grey if all of them are, transparent ones on white. What cannot be read is named, counted and left out.
    """
    top, others = list_pictures(folder)
    inner = {}
    for child in sub_folders(folder):
        pictures, not_pictures = list_pictures(child, inner=True)
        others += not_pictures
        if pictures:
            inner[in_text(child.name)] = pictures
    warn_of_others(folder, others)
    if top and inner:
        raise UserError(
            f"{folder} holds {len(top)} images beside folders of images ({', '.join(inner)}). Put all images side by "
            "side, or every one into the folder of its class."
        )
    by_class = inner or {in_text(folder.resolve().name): top}
    x, y = [], []
    skipped = []
    for number, paths in enumerate(by_class.values()):
        for path in paths:
            try:
                x.append(read_image(path, size))
                y.append(number)
            except UnreadablePicture as error:
                skipped.append(str(error))
    if skipped:
        reasons = in_few_words(skipped, separator=" ")
        warnings.warn(f"{len(skipped)} of {len(x) + len(skipped)} images left out: {reasons}", stacklevel=2)
    if len(x) < FEWEST_IMAGES:
        raise UserError(
            f"{folder} holds {len(x)} usable images ({', '.join(sorted(EXTENSIONS))}), and at least {FEWEST_IMAGES} "
            "are needed to train on some and test on others."
        )
    empty = [name for number, name in enumerate(by_class) if number not in y]
    if empty:
        raise UserError(f"No image of {', '.join(empty)} could be read. Mend or remove that folder.")
    if any(image.shape[0] == 3 for image in x):
        x = [image.expand(3, -1, -1) for image in x]
    return Images(in_text(folder.resolve().name), torch.stack(x), torch.tensor(y), tuple(by_class))


def read_image(path: Path, size: int) -> Tensor:
    """An image file, cut to its middle square -> `(1 or 3, size, size)` in [0, 1]; raises `UnreadablePicture`."""
    image = read_picture(path, SMALLEST_SIDE)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    pixels = np.array(image.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    return torch.from_numpy(pixels).reshape(size, size, -1).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class Emoji:
    """Drawings of emoji, and what is known of each: `records[i]` is that of image i, with its folder as `style`."""

    x: Tensor
    records: tuple[dict[str, str | None], ...]


def load_emoji(folder: Path, size: int = DEFAULT_SIZE, *, categories: Sequence[str] | None = None) -> Emoji:
    """Emoji from `folder`: one folder of drawings per style and `emoji.json`, a list of objects with the keys `image`
    (the file's name in every style's folder), `name`, `category`, `subcategory` and `skin_tone` (null or 1F3FB to
    1F3FF), as the npm packages `emoji-datasource-google` and `-twitter` know them. All three channels, on white."""
    path = folder / "emoji.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
        keys = ("image", "name", "category", "subcategory", "skin_tone")
        table = [{key: entry[key] for key in keys} for entry in table]
        files = [str(Path(entry["image"])) for entry in table]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} must be a list of objects with image, name, category, ...: {error!r}") from error
    x, records = [], []
    missing = 0
    for style in sub_folders(folder):
        for entry, file in zip(table, files, strict=True):
            if categories is not None and entry["category"] not in categories:
                continue
            try:
                image = read_image(style / file, size)
            except UnreadablePicture:
                missing += 1
                continue
            x.append(image.expand(3, -1, -1))
            records.append({**entry, "style": style.name})
    if missing:
        warnings.warn(f"{missing} of the drawings in {path} are missing or cannot be read", stacklevel=2)
    if len(x) < FEWEST_IMAGES:
        raise UserError(f"{path} describes {len(table)} emoji, but only {len(x)} drawings of them were found.")
    return Emoji(torch.stack(x), tuple(records))


def in_test_part(name: str) -> bool:
    """Whether what is called so is tested on: one in five, the same ones on every machine."""
    # Composed, since some systems take names apart; names on a disk need not be in any encoding.
    content = unicodedata.normalize("NFC", name).encode(errors="surrogatepass")
    return int.from_bytes(content, "big") % 1_000_003 % 5 == 0


def _emoji_by_category(folder: Path, size: int) -> tuple[Images, Images]:
    """All emoji; every style and skin tone of one is in the same part."""
    emoji = load_emoji(folder, size)
    classes = tuple(sorted({str(record["category"]) for record in emoji.records}))
    y = torch.tensor([classes.index(str(record["category"])) for record in emoji.records])
    held_out = torch.tensor([in_test_part(str(record["name"])) for record in emoji.records])
    images = Images("emoji", emoji.x, y, classes)
    return images.where(~held_out), images.where(held_out)


def _sklearn_digits() -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    return Images("scikit-learn's digits", x, torch.from_numpy(digits.target).long(), tuple("0123456789"))


def _mnist(root: Path, download: bool) -> tuple[Images, Images]:
    from torchvision.datasets import MNIST

    try:
        with tempfile.TemporaryDirectory() as scratch:
            unpacked = Path(scratch) / "MNIST" / "raw"
            unpacked.mkdir(parents=True)
            # torchvision unpacks what it downloads; files that somebody else left packed it does not see.
            for packed in [] if download else (root / "MNIST" / "raw").glob("*-ubyte.gz"):
                (unpacked / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
            place = scratch if any(unpacked.iterdir()) else str(root)
            parts = [MNIST(place, train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(
            f"MNIST cannot be read from {root} ({error}). Fetch it with --data FOLDER --download."
        ) from error
    train, test = (
        Images("MNIST", part.data.float().unsqueeze(1) / 255, part.targets.long(), tuple("0123456789"))
        for part in parts
    )
    return train, test


def _split(images: Images) -> tuple[Images, Images]:
    """The same parts in every run, whatever its seed."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out = round(TEST_SHARE * len(images))
    return images.where(order[held_out:]), images.where(order[:held_out])


def _fit(images: Images, size: int | None, channels: int | None) -> Images:
    x = images.x
    if size is not None and x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    if channels == 1 and x.shape[1] == 3:
        x = x.mean(1, keepdim=True)
    if channels == 3 and x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    return replace(images, x=x.contiguous())
