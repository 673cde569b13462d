"""Folders made from packages: which drawings belong together, which are left out, and what is known of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from recipes.common.emoji_pairs import code_points, matching_tones, shared_silhouette, subject
from recipes.common.packages import run_program
from recipes.make_data import (
    FLAT,
    RENDERED,
    MakeDataConfig,
    main,
    make_emoji,
    make_photographs,
    save_portraits,
    write_licences,
)
from voiceconv.errors import UserError

LIGHT, DARK = "#f0d0b0", "#604030"


def disc(colour: str, radius: int = 12) -> Image.Image:
    image = Image.new("RGBA", (32, 32))
    ImageDraw.Draw(image).ellipse((16 - radius, 16 - radius, 16 + radius, 16 + radius), fill=colour)
    return image


def svg_disc(colour: str) -> str:
    return f'<circle cx="16" cy="16" r="12" fill="{colour}"/>'


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Two tiny packages: a hand in two skin tones, which the renderings exchange; the sun; a star of another size."""
    names = {"1F44B-1F3FB": "hand-light", "1F44B-1F3FF": "hand-dark", "2600": "sun", "2B50": "star", "2764": "heart"}
    colours = {"hand-light": LIGHT, "hand-dark": DARK, "sun": "yellow", "star": "orange", "heart": "red"}
    flat = tmp_path / "node_modules" / FLAT
    flat.mkdir(parents=True)
    icons = {name: {"body": svg_disc(colour)} for name, colour in colours.items()}
    categories = {"Nature": ["sun", "star"], "People": ["hand-light", "hand-dark"]}
    for file, content in {
        "icons": {"icons": icons, "width": 32, "height": 32},
        "chars": names,
        "metadata": {"categories": categories},
    }.items():
        (flat / f"{file}.json").write_text(json.dumps(content))
    assets = tmp_path / "node_modules" / RENDERED / "assets"
    assets.mkdir(parents=True)
    for name, image in {
        "1f44b-1f3fb": disc(DARK),
        "1f44b-1f3ff": disc(LIGHT),
        "2600-fe0f": disc("gold"),
        "2b50": disc("orange", radius=5),
        "1f600": disc("yellow"),
    }.items():
        image.save(assets / f"{name}.webp", lossless=True)
    return tmp_path / "node_modules"


def test_emoji_are_paired_by_code_points_tone_and_design(packages: Path, tmp_path: Path) -> None:
    said = make_emoji(packages, tmp_path / "out", 32)
    assert said == "3 pairs; 1 of 4 differ in design and are left out."
    table = json.loads((tmp_path / "out" / "emoji.json").read_text())
    names = ["1f44b-1f3fb.png", "1f44b-1f3ff.png", "2600.png"]
    assert [entry["image"] for entry in table] == names
    assert [entry["name"] for entry in table] == ["hand", "hand", "sun"]
    assert [entry["skin_tone"] for entry in table] == ["1F3FB", "1F3FF", None]
    assert [entry["category"] for entry in table] == ["People", "People", "Nature"]
    for side in ("flat", "rendered"):
        assert sorted(path.name for path in (tmp_path / "out" / side).iterdir()) == names
    for name in names[:2]:  # the renderings of the two tones have been exchanged back
        a, b = (np.asarray(Image.open(tmp_path / "out" / side / name))[16, 16] for side in ("flat", "rendered"))
        assert np.abs(a.astype(int) - b).max() <= 2
    assert "MIT" in (tmp_path / "out" / "LICENCES.txt").read_text()


def test_emoji_that_have_no_tones_are_never_exchanged() -> None:
    flat = {"2b50": disc("red"), "2600": disc("blue")}
    rendered = {"2b50": disc("blue"), "2600": disc("red")}
    assert matching_tones(flat, rendered) == {"2b50": "2b50", "2600": "2600"}


@pytest.mark.parametrize(
    ("icon", "expected"),
    [
        ("woman-judge-medium-light", "judge"),
        ("man-judge", "judge"),
        ("judge-dark", "judge"),
        ("woman-dark", "person"),
        ("dark-skin-tone", "dark skin tone"),
        ("pregnant-man-light", "pregnant"),
        ("light-bulb", "light bulb"),
    ],
)
def test_one_drawing_in_other_colours_has_one_name(icon: str, expected: str) -> None:
    assert subject(icon) == expected


def test_code_points_are_compared_without_the_variation_selector() -> None:
    assert code_points("263A-FE0F") == code_points("263a") == "263a"


def test_silhouettes_share_what_both_cover() -> None:
    assert shared_silhouette(disc("red"), disc("blue")) == 1
    assert shared_silhouette(disc("red", 12), disc("red", 6)) == pytest.approx(0.25, abs=0.05)


def test_portraits_keep_their_attributes(tmp_path: Path) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{svg_disc("red")}</svg>'
    portraits = [
        {"style": style, "svg": svg, "attributes": {"skinColor": colour}}
        for style, colour in (("round", "#fff"), ("round", "#000"), ("square", "#888"))
    ]
    assert save_portraits(portraits, tmp_path, 16) == "3 portraits in 2 styles."
    table = json.loads((tmp_path / "portraits.json").read_text())
    assert [entry["image"] for entry in table] == ["round/00000.png", "round/00001.png", "square/00000.png"]
    assert table[1]["skinColor"] == "#000"
    assert all(Image.open(tmp_path / entry["image"]).size == (16, 16) for entry in table)


def test_each_style_names_its_designer_and_licence(tmp_path: Path) -> None:
    about = {"title": "Round", "creator": "Somebody", "license": {"name": "CC0 1.0", "url": "https://example.org"}}
    write_licences({"round": about}, tmp_path)
    assert (tmp_path / "LICENCES.txt").read_text() == "round: Round by Somebody, CC0 1.0 (https://example.org)\n"


def test_all_squares_of_a_photograph_are_on_one_side(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "usr/share/backgrounds/mate/nature"
    folder.mkdir(parents=True)
    names = ["Aqua", "Dune", "Garden", "Storm", "Wood", "LadyBird"]
    for name in names:
        Image.new("RGB", (100, 80), "teal").save(folder / f"{name}.jpg")
    make_photographs({"mate-backgrounds": tmp_path / "root"}, tmp_path / "out", 32)
    sides = {
        part: {path.name.split("-")[0] for path in (tmp_path / "out" / part).iterdir()} for part in ("train", "test")
    }
    assert not sides["train"] & sides["test"]
    assert sides["train"] | sides["test"] == set(names)
    # Three by two squares at full size and one at half of it.
    assert len(list((tmp_path / "out").glob("*/Dune-*.png"))) == 7
    assert "Dune: mate-backgrounds, GPL-2.0-or-later" in (tmp_path / "out" / "LICENCES.txt").read_text()


def test_a_package_cannot_bring_in_pictures_from_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "usr/share/backgrounds/mate/nature"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "private.jpg")
    (folder / "Dune.jpg").symlink_to(tmp_path / "private.jpg")
    with pytest.raises(UserError, match="mate-backgrounds at hand holds no pictures"):
        make_photographs({"mate-backgrounds": tmp_path / "root"}, tmp_path / "out", 32)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already there"):
        main(MakeDataConfig("emoji", tmp_path))


def test_programs_that_are_missing_or_fail_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no-such-program is not installed\. This needs Debian"):
        run_program(["no-such-program"], tmp_path, "Debian")
    with pytest.raises(UserError, match=r"failed: .*no such file"):
        run_program([sys.executable, "-c", "raise SystemExit('no such file')"], tmp_path, "Python")
