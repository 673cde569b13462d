"""Loads images of what is to be recognised in groups, some of them rare, and images of everything else."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recipes.common.image_data import in_test_part, load_emoji, read_image
from recipes.common.picture_files import UnreadablePicture, in_few_words, in_text, list_pictures
from voiceconv.errors import UserError

TONES = {
    "1F3FB": "light",
    "1F3FC": "medium-light",
    "1F3FD": "medium",
    "1F3FE": "medium-dark",
    "1F3FF": "dark",
}
RARE_TONES = ("1F3FE", "1F3FF")
PORTRAITS = ("person", "person-role", "person-gesture", "person-fantasy", "person-activity")
NOT_PEOPLE = (
    "Activities", "Animals & Nature", "Flags", "Food & Drink", "Objects", "Smileys & Emotion", "Symbols",
    "Travel & Places",
)  # fmt: skip
CELEBA = ("celeba/list_attr_celeba.txt", "celeba/img_align_celeba")


@dataclass(frozen=True)
class Groups:
    """Images `(N, 3, H, W)` in [0, 1], and the number of each one's group, `(N,)`: -1 is for everything else."""

    name: str
    what: str
    names: tuple[str, ...]
    train_x: Tensor
    train_group: Tensor
    test_x: Tensor
    test_group: Tensor

    def count_words(self, part: str) -> str:
        """How many of each group there are: '120 light, 3 dark'."""
        group = self.train_group if part == "train" else self.test_group
        return ", ".join(f"{int((group == i).sum())} {name}" for i, name in enumerate(self.names))


def emoji_groups(folder: Path, size: int, rare_share: float) -> Groups:
    """People of five skin tones, both darkest made rare, against all emoji that show no people.

    All drawings of one emoji are in the same part, so the test shows people never seen in any tone.
    """
    emoji = load_emoji(folder, size, categories=("People & Body", *NOT_PEOPLE))
    group, held_out, chosen = [], [], []
    for index, record in enumerate(emoji.records):
        is_other = record["category"] in NOT_PEOPLE
        if is_other or (record["subcategory"] in PORTRAITS and record["skin_tone"] in TONES):
            chosen.append(index)
            group.append(-1 if is_other else list(TONES).index(str(record["skin_tone"])))
            held_out.append(in_test_part(str(record["name"])))
    rare = [list(TONES).index(tone) for tone in RARE_TONES]
    x = emoji.x[torch.tensor(chosen)]
    return _make_rare("emoji", "people", tuple(TONES.values()), x, group, held_out, rare, rare_share)


def image_groups(
    folder: Path, size: int, label: str, group: str, rare_share: float, *, download: bool = False
) -> Groups:
    """Images with the attribute `label`, in the two groups that the attribute `group` makes of them; those that have
    it are made rare. From CelebA as torchvision lays it out, or a folder with attributes.csv."""
    if download:
        from torchvision.datasets import CelebA

        CelebA(str(folder), download=True)
    table = read_attributes(folder)
    for name in (label, group):
        if name not in next(iter(table.values())):
            raise UserError(f"There is no attribute {name!r}; there are {', '.join(next(iter(table.values())))}.")
    x, groups, held_out = [], [], []
    for path, attributes in table.items():
        try:
            x.append(read_image(path, size).expand(3, -1, -1))
        except UnreadablePicture as error:
            raise UserError(f"{error} It is in the attributes file, too: remove it in both places.") from error
        groups.append(int(attributes[group]) if attributes[label] else -1)
        held_out.append(in_test_part(path.name))
    names = (f"not {group}", group)
    return _make_rare(in_text(folder.resolve().name), label, names, torch.stack(x), groups, held_out, [1], rare_share)


def read_attributes(folder: Path) -> dict[Path, dict[str, bool]]:
    """The attributes of every image of a folder; raises `UserError` if file and images do not match."""
    path, images = folder / CELEBA[0], folder / CELEBA[1]
    is_celeba = path.is_file()
    if not is_celeba:
        path, images = folder / "attributes.csv", folder
    if not path.is_file():
        raise UserError(f"{folder} holds neither emoji.json nor attributes.csv nor {CELEBA[0]}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [line.split() for line in lines[1:] if line.strip()] if is_celeba else list(csv.reader(lines))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as text in UTF-8: {error}. Save it as such.") from error
    names, rows = (rows[0] if rows else []), rows[1:]
    if not is_celeba:
        if names[:1] != ["image"]:
            raise UserError(f"{path} must begin with the column image, but begins with {names[:1]}.")
        names = names[1:]
    table = {}
    for number, (image, *values) in enumerate(filter(None, rows), start=2):
        if len(values) != len(names) or not set(values) <= {"0", "1", "-1"}:
            raise UserError(f"Row {number} ({image}) of the attributes file needs {len(names)} values of 0 or 1.")
        table[images / image] = {name: value == "1" for name, value in zip(names, values, strict=True)}
    files = set(list_pictures(images)[0]) if images.is_dir() else set()
    missing, unknown = sorted(set(table) - files), sorted(files - set(table))
    if missing or unknown or not table:
        few = in_few_words([path.name for path in missing or unknown])
        raise UserError(
            f"The attributes file and the images of {images} do not match: {len(missing)} images are missing and "
            f"{len(unknown)} have no attributes ({few or 'there are none at all'})."
        )
    return table


def synthetic_groups() -> Groups:
    """Bright and dark discs against bars, for runs that only check that everything runs."""
    torch.manual_seed(0)
    line = torch.linspace(-1, 1, 32)
    disc = (line[None].square() + line[:, None].square() < 0.5).float()
    bars = (line[None].abs() < 0.3).float().expand(32, 32)
    shades = {0: 0.9, 1: 0.4, -1: 0.7}
    group = [(-1, 0, 1)[number % 3] for number in range(120)]
    x = torch.stack([(disc if g >= 0 else bars) * shades[g] + 0.1 * torch.rand(3, 32, 32) for g in group])
    held_out = [number % 5 == 0 for number in range(120)]
    return _make_rare("synthetic", "discs", ("bright", "dark"), x.clamp(0, 1), group, held_out, [1], 0.2)


def _make_rare(
    name: str,
    what: str,
    names: tuple[str, ...],
    x: Tensor,
    group: list[int],
    held_out: list[bool],
    rare: list[int],
    rare_share: float,
) -> Groups:
    """Splits off the test, as many of each group, and leaves the share of the rare groups to train on."""
    groups, test = torch.tensor(group), torch.tensor(held_out)
    random = torch.Generator().manual_seed(0)
    train = ~test
    for number in rare:
        members = (train & (groups == number)).nonzero().flatten()
        kept = max(1, round(rare_share * len(members)))
        train[members[torch.randperm(len(members), generator=random)[kept:]]] = False
    in_test = [(test & (groups == number)).nonzero().flatten() for number in range(len(names))]
    fewest = min(len(members) for members in in_test)
    for members in in_test:
        test[members[torch.randperm(len(members), generator=random)[fewest:]]] = False
    counts = [int((train & (groups == number)).sum()) for number in [*range(len(names)), -1]]
    if not fewest or not min(counts) or not (test & (groups < 0)).any():
        raise UserError(
            f"{name} has too few images: every one of {', '.join(names)} and the rest needs some to test on."
        )
    return Groups(name, what, names, x[train], groups[train], x[test], groups[test])
