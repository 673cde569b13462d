"""Makes pictures that are damaged or odd, in every mode, depth, orientation, profile and format that is read."""

from __future__ import annotations

import io
import random
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from benchmarks.fuzzing.mutations import mutate
from recipes.common.picture_files import EXTENSIONS, FORMATS

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
SIDES = (1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 65, 100, 257)
ORIENTATION = 0x0112


def picture_case(number: int) -> tuple[str, bytes]:
    """File name and content of an odd picture; one in three is damaged too."""
    chance = random.Random(f"picture {number}")
    name, content = odd_picture(chance)
    return name, mutate(content, chance, odd_picture(chance)[1]) if number % 3 == 0 else content


def odd_picture(chance: random.Random) -> tuple[str, bytes]:
    """File name and content of a picture with something odd about it."""
    size = (chance.choice(SIDES), chance.choice(SIDES))
    if chance.random() < 0.01:
        size = chance.choice(((20_000, 20_000), (20_000, 20), (30_000, 1), (1, 30_000), (65_000, 2), (1, 1)))
    picture = odd_pixels(chance.choice(MODES), size, chance)
    options: dict[str, object] = {}
    if chance.random() < 0.4:
        options["exif"] = odd_exif(chance)
    if chance.random() < 0.3:
        options["icc_profile"] = odd_profile(chance)
    if chance.random() < 0.1 and size[0] < 1000:
        frames = [odd_pixels(picture.mode, size, chance) for _ in range(chance.randrange(1, 4))]
        options |= {"save_all": True, "append_images": frames}
    form = chance.choice(FORMATS if max(size) < 1000 else ("PNG", "TIFF"))  # others take minutes to write
    if form == "AVIF":  # its encoder ends the process over damaged EXIF data
        options.pop("exif", None)
    content = io.BytesIO()
    try:
        picture.save(content, form, **options)
    except Exception:  # a mode, size or option that this format does not have
        content, form = io.BytesIO(), "PNG"
        picture.convert("RGB").save(content, form)
    data = bytearray(content.getvalue())
    what = chance.randrange(8)
    if what == 0:
        del data[len(data) - chance.randrange(1, max(2, len(data) // 2)) :]
    elif what == 1:
        data += chance.randbytes(chance.randrange(1, 2000))
    endings = [ending for ending, name in Image.registered_extensions().items() if name == form]
    ending = chance.choice(sorted(EXTENSIONS)) if chance.random() < 0.1 else chance.choice(sorted(endings))
    return f"odd{chance.choice((ending, ending.upper()))}", bytes(data)


def odd_pixels(mode: str, size: tuple[int, int], chance: random.Random) -> Image.Image:
    """A picture of one colour, or of noise."""
    width, height = size
    if width * height > 100_000:
        return Image.new(mode if mode in ("1", "L") else "1", size)
    noise = np.random.default_rng(chance.randrange(2**32))
    if mode == "I;16":
        return Image.fromarray(noise.integers(0, 2**16, (height, width), np.uint16))
    if mode in ("I", "F"):
        values = noise.standard_normal((height, width)) * chance.choice((1.0, 255.0, 7e4, 1e8))
        return Image.fromarray(values.astype(np.int32 if mode == "I" else np.float32))
    colour = Image.fromarray(noise.integers(0, 256, (height, width, 4), np.uint8), "RGBA")
    if chance.random() < 0.3:
        colour = Image.new("RGBA", size, tuple(chance.randrange(256) for _ in range(4)))
    if mode == "LAB":
        return Image.frombytes("LAB", size, colour.convert("RGB").tobytes())
    if mode == "PA":
        return colour.convert("P").convert("PA")
    return colour if mode == "RGBA" else colour.convert("RGB").convert(mode)


def odd_exif(chance: random.Random) -> bytes:
    """An orientation from 0 to 9 and a few tags, perhaps damaged."""
    exif = Image.Exif()
    exif[ORIENTATION] = chance.randrange(10)
    exif[0x010E] = "ü" * chance.randrange(20)
    content = exif.tobytes()
    return mutate(content, chance, content) if chance.random() < 0.5 else content


def odd_profile(chance: random.Random) -> bytes:
    """A colour profile that is whole, damaged, or of something else than pictures."""
    content = chance.choice(profiles())
    return mutate(content, chance, content) if chance.random() < 0.5 else content


@cache
def profiles() -> tuple[bytes, ...]:
    return tuple(ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes() for space in ("sRGB", "LAB", "XYZ"))
