"""Pictures of two domains: every layout of folders, every way to prepare them, and what is said of those that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from recipes.common.translation_data import (
    Domains,
    Preparation,
    Reader,
    day_and_night,
    drawn_pairs,
    earth_maps,
    folder_of_domains,
    folder_of_pairs,
    folder_to_colourise,
)
from voiceconv.errors import UserError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, color: Any = RED, size: tuple[int, int] = (40, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def side_by_side(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    both = Image.new("RGB", (80, 40), RED)
    both.paste(GREEN, (40, 0, 80, 40))
    both.save(path)


def reader(mode: Any = "resize_and_crop", load: int = 36, crop: int = 32, multiple: int = 4) -> Reader:
    return Reader(Preparation(mode, load, crop), "resnet_9blocks" if multiple == 4 else "unet_256", multiple)


def colour(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(x.float().mean((1, 2)).round().int().tolist())


def assert_red_to_green(domains: Domains, train: int, test: int) -> None:
    assert [len(x) for x in (domains.train_a, domains.train_b)] == [train, train]
    assert [len(x) for x in (domains.test_a, domains.test_b)] == [test, test]
    assert {colour(x) for x in domains.train_a + domains.test_a} == {RED}
    assert {colour(x) for x in domains.train_b + domains.test_b} == {GREEN}


def test_pairs_side_by_side_and_turned_round(tmp_path: Path) -> None:
    for name in ("train/1.jpg", "train/2.jpg", "train/3.jpg", "val/1.jpg", "val/2.jpg"):
        side_by_side((tmp_path / name).with_suffix(".png"))
    domains = folder_of_pairs(tmp_path, reader())
    assert_red_to_green(domains, 3, 2)
    assert domains.train_a[0].shape == (3, 36, 36)  # to be cropped
    assert domains.test_a[0].shape == (3, 32, 32)
    assert colour(domains.turned("ba").train_a[0]) == GREEN
    save(tmp_path / "train" / "odd.png", size=(81, 40))
    with pytest.raises(UserError, match=r"odd\.png is 81 wide"):
        folder_of_pairs(tmp_path, reader())


def test_pairs_in_two_folders_and_those_without_a_partner(tmp_path: Path) -> None:
    for number in range(3):
        for part in ("train", "test"):
            save(tmp_path / f"{part}A" / f"{number}_A.png", RED)
            save(tmp_path / f"{part}B" / f"{number}_B.png", GREEN)
    assert_red_to_green(folder_of_pairs(tmp_path, reader()), 3, 3)
    (tmp_path / "trainB" / "1_B.png").unlink()
    with pytest.raises(UserError, match=r"3 pictures and .*trainB 2, .* 1 has no partner\. Without pairs, use"):
        folder_of_pairs(tmp_path, reader())
    unpaired = folder_of_domains(tmp_path, reader())
    assert not unpaired.paired
    assert (len(unpaired.train_a), len(unpaired.train_b)) == (3, 2)


def test_what_systems_leave_is_no_picture_and_no_domain(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / "a" / f"{number}.ppm", RED)
        save(tmp_path / "b" / f"{number}.jpg", GREEN)
        (tmp_path / "a" / f"._{number}.ppm").write_bytes(b"\0\5\x16\7")
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        save(tmp_path / name / "0.png")
    domains = folder_of_pairs(tmp_path, reader())
    assert len(domains.train_a) + len(domains.test_a) == 20


def test_two_pictures_of_one_name_have_no_partner(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/1.jpg", "b/1.png"):
        save(tmp_path / name)
    with pytest.raises(UserError, match=r"holds 1\.jpg and 1\.png, and only one of them can be the partner of 1"):
        folder_of_pairs(tmp_path, reader())


def test_partners_are_found_however_a_system_writes_their_names(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(2):
            save(tmp_path / f"{part}A" / f"Jos\u00e9 {number}.png", RED)
            save(tmp_path / f"{part}B" / f"Jose\u0301 {number}.png", GREEN)
    assert_red_to_green(folder_of_pairs(tmp_path, reader()), 2, 2)


def test_a_photograph_and_its_upright_partner_are_a_pair(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for part in ("train", "test"):
        for number in range(2):
            path = save(tmp_path / f"{part}A" / f"{number}.jpg", size=(60, 40))
            Image.open(path).save(path, exif=exif)
            save(tmp_path / f"{part}B" / f"{number}.png", size=(40, 60))
    assert len(folder_of_pairs(tmp_path, reader()).train_a) == 2


def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("trainA", "trainB", "testA", "testB"):
        for number in range(3):
            save(tmp_path / name / f"{number}.png")
    (tmp_path / "trainA" / "1.png").write_bytes(b"")
    save(tmp_path / "trainA" / "2.png", size=(4, 40))
    save(tmp_path / "trainA" / "3.png")
    with pytest.warns(UserWarning, match=r"2 of 4 left out: .*1\.png is empty.*2\.png is 4x40, smaller than 8x8"):
        domains = folder_of_domains(tmp_path, reader())
    assert [len(side) for side in (domains.train_a, domains.train_b)] == [2, 3]


def test_two_folders_of_the_same_names_keep_every_tone_of_an_emoji_together(tmp_path: Path) -> None:
    table = []
    for number in range(20):
        for tone in "xy":
            name = f"{number}-{tone}.png"
            save(tmp_path / "noto" / name, (number, 0, 0))
            save(tmp_path / "twemoji" / name, (number, 0, 0))
            table.append({"image": name, "name": f"person {number}"})
    (tmp_path / "emoji.json").write_text(json.dumps(table))
    paired = folder_of_pairs(tmp_path, reader())
    trained, tested = ({colour(x)[0] for x in side} for side in (paired.train_a, paired.test_a))
    assert len(paired.train_a) + len(paired.test_a) == 40
    assert tested
    assert not trained & tested
    apart = folder_of_domains(tmp_path, reader())
    assert len(apart.train_a) + len(apart.train_b) == len(paired.train_a)
    assert len(apart.test_a) == len(paired.test_a)
    assert apart.paired


def test_skin_tones_in_file_names_do_not_part_what_is_one_drawing(tmp_path: Path) -> None:
    for number in range(20):
        for tone in ("", "-1F3FB", "-1F3FF"):
            name = f"1F4{number:02d}{tone}-200D-2640.png"
            save(tmp_path / "black" / name, (number, 0, 0))
            save(tmp_path / "color" / name, (number, 0, 0))
    domains = folder_of_pairs(tmp_path, reader())
    trained, tested = ([colour(x)[0] for x in side] for side in (domains.train_a, domains.test_a))
    assert len(tested) == 3 * len(set(tested)) > 0
    assert not set(trained) & set(tested)


def test_no_picture_is_left_with_its_partner() -> None:
    numbered = [torch.full((3, 4, 4), i, dtype=torch.uint8) for i in range(11)]
    apart = Domains("numbers", numbered, numbered, numbered, numbered).unpaired()
    sides = [{int(x[0, 0, 0]) for x in side} for side in (apart.train_a, apart.train_b)]
    assert sides[0] | sides[1] == set(range(11))
    assert not sides[0] & sides[1]
    assert sides[0] != set(range(5))  # shuffled


def test_pictures_to_colourise(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "inner" / f"{number}.png", BLUE)
    domains = folder_to_colourise(tmp_path, reader())
    assert len(domains.train_a) + len(domains.test_a) == 12
    assert {x.shape for x in domains.train_a} == {(1, 36, 36)}
    assert {colour(x) for x in domains.train_b} == {BLUE}
    assert colour(domains.train_a[0]) == (29,)  # the luminance of blue, 0.114 * 255


def test_regions_of_the_earth_are_apart(tmp_path: Path) -> None:
    """Every tile of 20 degrees shows where it is; those tested on fill regions of their own."""
    rows, columns = np.mgrid[0:180, 0:360]
    noise = np.random.default_rng(0).integers(0, 60, rows.shape)
    day = np.stack([rows // 20 * 20 + noise, columns // 20 * 10 + noise, noise], 2).clip(0, 255).astype(np.uint8)
    day[:20] = 7  # all sea
    Image.fromarray(day).save(tmp_path / "earth_day.png")
    Image.fromarray(255 - day).resize((720, 360)).save(tmp_path / "earth_night.png")
    domains = day_and_night(tmp_path, Reader(Preparation("resize_and_crop", 20, 20), "resnet_9blocks", 4))
    assert len(domains.train_a) + len(domains.test_a) == 18 * 9 - 18
    assert 0.1 < len(domains.test_a) / 144 < 0.3
    for a, b in zip(domains.train_a, domains.train_b, strict=True):
        assert (a.float() + b.float() - 255).mean((1, 2)).abs().max() < 3  # night is day's negative
    places = [{colour(x)[:2] for x in side} for side in (domains.train_a, domains.test_a)]
    assert not places[0] & places[1]
    save(tmp_path / "another_day.png")
    with pytest.raises(UserError, match="two maps of the whole Earth"):
        day_and_night(tmp_path, reader())


@pytest.mark.slow
def test_the_maps_of_the_package_are_registered() -> None:
    """Land is land on both: the sea is blue and dark from above, and blue on the map."""
    domains = earth_maps(Reader(Preparation("resize_and_crop", 32, 32), "resnet_9blocks", 4))
    assert len(domains.train_a) > 300
    assert len(domains.test_a) > 60
    a, b = (torch.stack(side).float() for side in (domains.train_a, domains.train_b))
    sea_a, sea_b = (x[:, 2] > x[:, 0] + 15 for x in (a, b))
    assert (sea_a == sea_b).float().mean() > 0.8


@pytest.mark.parametrize(
    ("mode", "kept", "shown", "tested"),
    [
        ("resize_and_crop", (36, 36), (32, 32), (32, 32)),
        ("crop", (70, 50), (32, 32), (32, 32)),
        ("scale_width", (48, 36), (48, 36), (48, 36)),  # 70 * 36 / 50 = 50.4, in multiples of 4
        ("scale_width_and_crop", (50, 36), (32, 32), (32, 32)),
        ("none", (72, 48), (72, 48), (72, 48)),  # halves go to the even multiple of 4
    ],
)
def test_the_five_ways_to_prepare_a_picture(
    mode: str, kept: tuple[int, int], shown: tuple[int, int], tested: tuple[int, int], tmp_path: Path
) -> None:
    for name in ("trainA/1.png", "trainA/2.png", "testA/1.png", "trainB/1.png", "trainB/2.png", "testB/1.png"):
        save(tmp_path / name, size=(50, 70))
    domains = folder_of_pairs(tmp_path, reader(mode))
    assert domains.train_a[0].shape[1:] == kept
    prepared = reader(mode).preparation
    a, b = prepared.show_pair(domains.train_a[0], domains.train_b[0], torch.Generator().manual_seed(0))
    assert a.shape[1:] == b.shape[1:] == shown
    assert prepared.for_testing().shown([domains.test_a[0]], None)[0].shape[1:] == tested


def test_both_sides_of_a_pair_are_cropped_and_flipped_alike() -> None:
    places = torch.arange(64, dtype=torch.uint8).view(1, 8, 8).expand(3, 8, 8)
    prepared = Preparation("crop", 8, 4)
    generator = torch.Generator().manual_seed(0)
    pairs = [prepared.show_pair(places, 255 - places, generator) for _ in range(40)]
    for a, b in pairs:
        assert torch.allclose(a, -b, atol=1e-6)
    rising = [bool(a[0, 0, 1] > a[0, 0, 0]) for a, _ in pairs]
    assert 5 < sum(rising) < 35  # flipped about half the time
    corners = {float(a.min()) for a, _ in pairs}
    assert len(corners) > 8
    assert pairs[0][0].dtype == torch.float32
    straight = Preparation("crop", 8, 4, flip=False)
    assert all(bool((a := straight.show_one(places, generator))[0, 0, 1] > a[0, 0, 0]) for _ in range(10))


def test_sizes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    def fails(message: str, make: Callable[[], object]) -> None:
        with pytest.raises(UserError, match=message):
            make()

    for name in ("trainA/1.png", "trainA/2.png", "testA/1.png", "trainB/1.png", "trainB/2.png", "testB/1.png"):
        save(tmp_path / name, size=(50, 70))
    fails(r"pair 1 is 48x72, and unet_256 cannot halve that: both sides must be multiples of 256", lambda: (
        folder_of_pairs(tmp_path, reader("none", multiple=256))
    ))  # fmt: skip
    fails(r"cropped to 32x32, and unet_256 cannot halve", lambda: folder_of_pairs(tmp_path, reader(multiple=256)))
    fails(r"is 50x70, and --crop-size 64 does not fit", lambda: folder_of_pairs(tmp_path, reader("crop", crop=64)))
    save(tmp_path / "trainB" / "2.png", size=(50, 72))
    fails(r"pair 2 are 50x70 and 50x72", lambda: folder_of_pairs(tmp_path, reader()))
    (tmp_path / "trainB" / "2.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"1 of 2 left out: .*2\.png cannot be read as a picture"):
        fails("has 1 pairs to train on and 1 to test on: too few", lambda: folder_of_pairs(tmp_path, reader()))
    fails(r"holds 0 other folders", lambda: folder_of_pairs(tmp_path / "nowhere", reader()))
    (tmp_path / "only" / "train").mkdir(parents=True)
    fails(r"beside train there should be test or val", lambda: folder_of_pairs(tmp_path / "only", reader()))


def test_drawn_pairs_have_what_their_task_needs() -> None:
    domains = drawn_pairs(reader(), grey=True)
    assert domains.train_a[0].shape[0] == 1
    assert domains.train_b[0].shape[0] == 3
    assert len(domains.test_a) == len(domains.train_a) == 6
