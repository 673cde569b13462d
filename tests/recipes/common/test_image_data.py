"""Images from folders as people have them, from MNIST's files and from emoji, and what makes groups of them."""

from __future__ import annotations

import gzip
import json
import math
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recipes.common.image_data import image_folder, in_test_part, load_emoji, load_images, read_image
from recipes.common.image_figures import tile
from recipes.common.image_groups import emoji_groups, image_groups, synthetic_groups
from recipes.common.picture_files import UnreadablePicture
from recipes.common.sprites import render_sprites
from voiceconv.errors import UserError


def save(path: Path, color: object = (255, 0, 0), mode: str = "RGB", size: tuple[int, int] = (12, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)  # type: ignore[arg-type]
    return path


def test_default_is_the_digits_of_scikit_learn() -> None:
    train, test = load_images(None)
    assert train.shape == test.shape == (1, 8, 8)
    assert len(train) + len(test) == 1797
    assert set(test.y.tolist()) == set(range(10))
    assert (float(train.x.min()), float(train.x.max())) == (0, 1)
    again, _ = load_images(None, size=16, channels=3, limit=7)
    assert again.x.shape == (7, 3, 16, 16)
    assert torch.equal(again.y, train.y[:7])


def idx(values: np.ndarray) -> bytes:
    """MNIST's file format: a magic number, the sizes, the bytes."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_in_the_layout_of_torchvision(packed: bool, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 12)):
        for kind, values in (
            ("images-idx3-ubyte", random.integers(0, 256, (count, 28, 28))),
            ("labels-idx1-ubyte", np.arange(count) % 10),
        ):
            content = idx(values)
            name = f"{part}-{kind}" + (".gz" if packed else "")
            (raw / name).write_bytes(gzip.compress(content) if packed else content)
    train, test = load_images(tmp_path)
    assert (train.x.shape, test.x.shape) == ((30, 1, 28, 28), (12, 1, 28, 28))
    assert test.y.tolist() == [*range(10), 0, 1]
    expected = np.random.default_rng(0).integers(0, 256, (30, 28, 28))
    assert torch.equal(train.x[:, 0], torch.from_numpy(expected).float() / 255)
    for path in raw.glob("t10k-labels*"):
        path.unlink()
    with pytest.raises(UserError, match=r"MNIST cannot be read .* --download"):
        load_images(tmp_path)


def test_folders_of_classes_and_what_is_wrong_with_their_files(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / "cats" / f"{number}.png")
        save(tmp_path / "dogs" / "more" / f"{number}.jpg", (0, 0, 255), size=(40, 20))
    save(tmp_path / "dogs" / "grey.png", 128, "L")
    save(tmp_path / "dogs" / "tiny.png", size=(40, 4))
    (tmp_path / "cats" / "broken.png").write_bytes(b"not an image")
    whole = save(tmp_path / "cats" / "torn.png", size=(200, 200)).read_bytes()
    (tmp_path / "cats" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cats" / "notes.txt").write_text("not an image either")
    with (
        pytest.warns(
            UserWarning,
            match=r"3 of 20 images left out: .*broken\.png cannot be read.*torn\.png.*tiny\.png is 40x4, smaller",
        ),
        pytest.warns(UserWarning, match=r"1 file in it is not a picture and is left out: notes\.txt"),
    ):
        images = image_folder(tmp_path, 8)
    assert images.classes == ("cats", "dogs")
    assert images.x.shape == (17, 3, 8, 8)
    assert torch.bincount(images.y).tolist() == [8, 9]
    assert images.x[0, :, 4, 4].tolist() == [1, 0, 0]
    with pytest.warns(UserWarning, match="3 of 20"):
        train, test = load_images(tmp_path)
    assert (len(train), len(test)) == (14, 3)
    assert train.shape == (3, 32, 32)


def test_what_systems_leave_is_no_class_and_no_image(tmp_path: Path) -> None:
    for number in range(6):
        for name in ("cats", "dogs", "__MACOSX", ".ipynb_checkpoints", "cats/.ipynb_checkpoints"):
            save(tmp_path / name / f"{number}.ppm")
        (tmp_path / "dogs" / f"._{number}.ppm").write_bytes(b"\0\5\x16\7")
    images = image_folder(tmp_path, 8)
    assert images.classes == ("cats", "dogs")
    assert len(images) == 12


def test_names_in_no_encoding_can_be_written_to_a_report(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "a\udcff" / f"{number}.png")
    images = image_folder(tmp_path, 8)
    assert images.classes == ("a\\udcff",)
    assert image_folder(tmp_path / "a\udcff", 8).name == "a\\udcff"


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        image_folder(tmp_path / "none")
    with pytest.raises(UserError, match="holds 0 usable images"):
        image_folder(tmp_path)
    save(tmp_path / "one.png")
    with pytest.raises(UserError, match=r"holds 1 usable images .* at least 10"):
        image_folder(tmp_path)
    save(tmp_path / "class" / "two.png")
    with pytest.raises(UserError, match=r"1 images beside folders of images \(class\)"):
        image_folder(tmp_path)


def test_a_class_without_a_readable_image_is_named(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "cats" / f"{number}.png")
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "broken.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 13"), pytest.raises(UserError, match="No image of dogs could be read"):
        image_folder(tmp_path)


def test_images_of_every_kind_become_grey_or_colour(tmp_path: Path) -> None:
    half = read_image(save(tmp_path / "la.png", (0, 128), "LA"), 8)
    assert half.shape == (1, 8, 8)
    assert float(half.mean()) == pytest.approx(1 - 128 / 255, abs=0.01)  # black, half transparent, on white
    clear = read_image(save(tmp_path / "rgba.png", (255, 0, 0, 0), "RGBA"), 8)
    assert clear.shape == (3, 8, 8)
    assert float(clear.min()) == 1
    deep = read_image(save(tmp_path / "deep.png", 257 * 100, "I;16"), 8)
    assert deep.shape == (1, 8, 8)
    assert float(deep.mean()) == pytest.approx(100 / 255, abs=0.003)
    with pytest.raises(UnreadablePicture, match="8 or 16 bits"):
        read_image(save(tmp_path / "float.tiff", 0.5, "F"), 8)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    picture = Image.new("L", (30, 10), 0)
    picture.paste(255, (10, 0, 20, 10))
    picture.save(tmp_path / "wide.png")
    assert float(read_image(tmp_path / "wide.png", 10).min()) == 1


def emoji(folder: Path, *, people: int = 12, others: int = 12) -> Path:
    tones = [None, "1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"]
    table = [
        {"image": f"p{n}-{tone}.png", "name": f"person {n}", "category": "People & Body", "subcategory": "person-role",
         "skin_tone": tone}
        for n in range(people) for tone in tones
    ]  # fmt: skip
    table += [
        {"image": f"o{n}.png", "name": f"thing {n}", "category": "Objects", "subcategory": "tool", "skin_tone": None}
        for n in range(others)
    ]
    for style in ("one", "two"):
        for entry in table:
            shade = tones.index(entry["skin_tone"]) * 40
            save(folder / style / str(entry["image"]), (shade, shade, shade, 255), "RGBA")
    (folder / "emoji.json").write_text(json.dumps(table))
    return folder


def test_emoji_keep_all_drawings_of_one_in_the_same_part(tmp_path: Path) -> None:
    folder = emoji(tmp_path)
    train, test = load_images(folder, size=8)
    assert train.classes == ("Objects", "People & Body")
    assert len(train) + len(test) == 2 * (12 * 6 + 12)
    held_out = sum(in_test_part(f"person {n}") for n in range(12))
    assert int((test.y == 1).sum()) == 12 * held_out
    assert 0 < held_out < 12
    (folder / "two" / "o3.png").unlink()
    (folder / "emoji.json").write_bytes(b"\xef\xbb\xbf" + (folder / "emoji.json").read_bytes())
    with pytest.warns(UserWarning, match="1 of the drawings"):
        assert len(load_emoji(folder, 8).records) == 2 * (12 * 6 + 12) - 1
    broken = {"image": 7, "name": "x", "category": "y", "subcategory": "z", "skin_tone": None}
    for table in ('[{"image": "a.png"}]', "[" * 100_000, "\xff", json.dumps([broken])):
        (folder / "emoji.json").write_text(table, encoding="latin-1")
        with pytest.raises(UserError, match="must be a list of objects"):
            load_images(folder)


def test_the_part_for_testing_is_the_same_however_a_system_writes_names() -> None:
    names = ["Jos\u00e9", "ca\u00f1a", "\u0928\u093f", "\udcff"]
    assert [in_test_part(name) for name in names] == [in_test_part(unicodedata.normalize("NFD", n)) for n in names]


def test_dark_tones_are_rare_to_train_on_and_balanced_in_the_test(tmp_path: Path) -> None:
    groups = emoji_groups(emoji(tmp_path), 8, 0.1)
    tested = torch.bincount(groups.test_group[groups.test_group >= 0]).tolist()
    assert len(set(tested)) == 1
    assert tested[0] > 0
    trained = torch.bincount(groups.train_group[groups.train_group >= 0]).tolist()
    assert trained[0] == trained[1] == trained[2] == 24 - tested[0]
    assert trained[3] == trained[4] == max(1, round(0.1 * trained[0]))
    dark = groups.train_x[groups.train_group == 4]
    assert float(dark.mean()) == pytest.approx(200 / 255, abs=0.01)
    assert groups.count_words("test").startswith(f"{tested[0]} light, ")


def attributes(folder: Path, rows: list[str], images: int = 60) -> Path:
    for number in range(images):
        save(folder / f"{number}.png", (number, 0, 0))
    (folder / "attributes.csv").write_text("\n".join(["image,hat,old", *rows]))
    return folder


def test_groups_from_an_attributes_file(tmp_path: Path) -> None:
    rows = [f"{number}.png,{number % 2},{number // 2 % 2}" for number in range(60)]
    groups = image_groups(attributes(tmp_path, rows), 8, "hat", "old", 0.2)
    assert groups.names == ("not old", "old")
    assert int((groups.train_group == 1).sum()) < int((groups.train_group == 0).sum())
    reds = (groups.train_x[groups.train_group == 1][:, 0, 0, 0] * 255).round().long()
    assert all(red % 2 == 1 and red // 2 % 2 == 1 for red in reds.tolist())
    with pytest.raises(UserError, match="no attribute 'smile'; there are hat, old"):
        image_groups(tmp_path, 8, "smile", "old", 0.2)
    (tmp_path / "._0.png").write_bytes(b"of a Mac")
    table = (tmp_path / "attributes.csv").read_bytes()
    (tmp_path / "attributes.csv").write_bytes(b"\xef\xbb\xbf" + table)
    assert len(image_groups(tmp_path, 8, "hat", "old", 0.2).train_x) == len(groups.train_x)
    (tmp_path / "attributes.csv").write_bytes(table + b"\xff")
    with pytest.raises(UserError, match=r"attributes\.csv cannot be read as text in UTF-8"):
        image_groups(tmp_path, 8, "hat", "old", 0.2)
    (tmp_path / "attributes.csv").write_bytes(table)
    (tmp_path / "7.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"7\.png is empty .* in the attributes file, too"):
        image_groups(tmp_path, 8, "hat", "old", 0.2)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["0.png,1,1"], "1 have no attributes|59 have no attributes"),
        ([f"{number}.png,1,0" for number in range(61)], r"1 images are missing .*60\.png"),
        ([f"{number}.png,1" for number in range(60)], "needs 2 values"),
        ([f"{number}.png,1,maybe" for number in range(60)], "needs 2 values of 0 or 1"),
        ([f"{number}.png,1,1" for number in range(60)], "too few images"),
    ],
)
def test_attributes_that_do_not_match(rows: list[str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=complaint):
        image_groups(attributes(tmp_path, rows), 8, "hat", "old", 0.2)


def test_attributes_as_celeba_has_them(tmp_path: Path) -> None:
    for number in range(40):
        save(tmp_path / "celeba" / "img_align_celeba" / f"{number}.jpg")
    lines = ["40", "Smiling Male"]
    lines += [f"{number}.jpg  {1 if number % 2 else -1} {1 if number % 3 else -1}" for number in range(40)]
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    groups = image_groups(tmp_path, 8, "Smiling", "Male", 0.5)
    assert groups.names == ("not Male", "Male")
    assert int((groups.train_group < 0).sum()) + int((groups.test_group < 0).sum()) == 20


def test_a_folder_without_groups_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither emoji\.json nor attributes.csv"):
        image_groups(tmp_path, 8, "hat", "old", 0.2)


def test_synthetic_groups_have_a_rare_one() -> None:
    groups = synthetic_groups()
    counts = [int((groups.train_group == number).sum()) for number in (-1, 0, 1)]
    assert counts[2] < counts[1] / 3


def test_sprites_are_what_their_factors_say() -> None:
    sprites = render_sprites(size=16, oversampling=2)
    assert sprites.x.shape == (4608, 1, 16, 16)
    assert len({tuple(row) for row in sprites.factors.tolist()}) == 4608
    line = torch.arange(16.0)
    ink = sprites.x[:, 0]
    area = ink.sum((1, 2))
    shape, scale, rotation, x, y = sprites.factors.T
    for edge in (x == 0, x == 7, y == 0, y == 7):  # nothing is cut off
        assert float(area[edge].mean()) == pytest.approx(float(area[(x == 3) & (y == 3)].mean()), rel=0.02)
    centre = (ink.sum(1) @ line) / area
    for place in range(7):
        assert float(centre[x == place].mean()) < float(centre[x == place + 1].mean()) - 0.5
    assert [float(area[(shape == 0) & (scale == number)].mean()) for number in range(4)] == sorted(
        float(area[(shape == 0) & (scale == number)].mean()) for number in range(4)
    )
    # pi a b of the ellipse, in pixels, at the largest scale
    ellipses = area[(shape == 1) & (scale == 3)]
    assert float(ellipses.mean()) == pytest.approx(math.pi * 0.5 * (0.42 * 1.05 * 8) ** 2, rel=0.05)
    upright = ink[(shape == 1) & (rotation == 0) & (scale == 3) & (x == 3) & (y == 3)][0]
    assert int((upright.sum(0) > 0).sum()) > 1.5 * int((upright.sum(1) > 0).sum())  # wider than high


def test_tiles_stand_in_order_with_lines_between() -> None:
    images = torch.arange(4.0).view(2, 2, 1, 1, 1) / 4
    expected = [[0.5] * 5, [0.5, 0, 0.5, 0.25, 0.5], [0.5] * 5, [0.5, 0.5, 0.5, 0.75, 0.5], [0.5] * 5]
    assert tile(images).tolist() == expected
    assert tile(images.expand(2, 2, 3, 1, 1)).shape == (5, 5, 3)
