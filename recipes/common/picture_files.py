"""Lists and reads picture files: upright, on white, in 8-bit grey or sRGB colour.

Every recipe lists and reads pictures by these functions, so that what is accepted, left out and said is the same.
"""

from __future__ import annotations

import io
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from voiceconv.errors import UserError

Image.init()
# What people keep pictures in. Pillow knows more formats, among them some that run other programs (EPS).
FORMATS = tuple(
    name
    for name in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "QOI", "SGI", "PCX", "TGA")
    if name in Image.OPEN
)
EXTENSIONS = frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)
# What systems put among a user's files.
SYSTEM_FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
FEW = 5  # names in a message


class UnreadablePicture(UserError):
    """A file that is no picture, or none that can be used; the message names it."""


def list_pictures(folder: Path, *, inner: bool = False) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder, and the other files there, both in order; with `inner` those in folders below it too.

    What is a picture, the extension says. What is hidden (`._0.png`, `.ipynb_checkpoints`) or was put there by a
    system (`__MACOSX`, `Thumbs.db`) is in neither list. Linked folders are entered, each folder once. Raises
    `UserError` if `folder` is none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.")
    seen: set[str] = set()
    pictures: list[Path] = []
    others: list[Path] = []

    def unreadable(error: OSError) -> None:
        others.append(Path(error.filename))

    for root, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [name for name in folders if _is_own(name)] if inner and real not in seen else []
        for path in (Path(root, name) for name in files if real not in seen and _is_own(name)):
            # Pipes and links to nothing have names like pictures, too.
            is_picture = path.suffix.lower() in EXTENSIONS and path.is_file()
            (pictures if is_picture else others).append(path)
        seen.add(real)
    return sorted(pictures), sorted(others)


def find_pictures(folder: Path, *, inner: bool = False) -> list[Path]:
    """The pictures that `list_pictures` finds, with a warning that names what else is there; raises `UserError` if
    there are none."""
    pictures, others = list_pictures(folder, inner=inner)
    if not pictures:
        found = f", only {_count_endings(others)}" if others else ""
        raise UserError(f"{folder} holds no pictures{found}. Expected are files named {', '.join(sorted(EXTENSIONS))}.")
    warn_of_others(folder, others)
    return pictures


def warn_of_others(folder: Path, others: Sequence[Path]) -> None:
    """Says how many files were left out because they are no pictures, and which, if there are any."""
    if others:
        is_or_are = "file in it is not a picture and is" if len(others) == 1 else "files in it are not pictures and are"
        names = in_few_words([path.name for path in others])
        warnings.warn(f"{folder}: {len(others)} {is_or_are} left out: {names}.", stacklevel=3)


def sub_folders(folder: Path) -> list[Path]:
    """The folders in a folder in order, without hidden ones and those of a system."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and _is_own(child.name))


def in_few_words(names: Sequence[str], separator: str = ", ") -> str:
    """'a, b, c, d, e, ...'"""
    return separator.join([*names[:FEW], *["..."] * (len(names) > FEW)])


def name_key(name: str) -> str:
    """A file's name so that two are equal if any file system takes them for the same: composed, and without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def in_text(name: str) -> str:
    """A file's name for a report: bytes that are in no encoding are written as `\\udcff`."""
    return name.encode(errors="backslashreplace").decode()


def read_picture(path: Path, smallest: int = 1) -> Image.Image:
    """A picture file as people see it, in the mode L or RGB: turned as its EXIF orientation says, on white where it is
    transparent, in sRGB if it has another colour profile, with 8 bits; of an animation the first frame.

    Raises `UnreadablePicture` if it cannot be read, has a side of less than `smallest` pixels, or so many pixels
    that Pillow takes it for an attack.
    """
    try:
        if not path.is_file():
            raise UnreadablePicture(f"{path} is not a file." if path.exists() else f"There is no picture {path}.")
        if path.stat().st_size == 0:
            raise UnreadablePicture(f"{path} is empty (0 bytes).")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and damaged notes in them
            with Image.open(path, formats=FORMATS) as image:
                if min(image.size) < smallest:
                    size = f"{image.width}x{image.height}"
                    raise UnreadablePicture(f"{path} is {size}, smaller than {smallest}x{smallest}.")
                return _as_seen(image)
    except (UserError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePicture(f"{path} cannot be read as a picture: it is in no format that is known.") from error
    except Image.DecompressionBombError as error:
        most = f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}"
        raise UnreadablePicture(f"{path} has more than {most} pixels. Make it smaller, or cut it up.") from error
    except Exception as error:  # decoders raise anything over damaged bytes
        raise UnreadablePicture(f"{path} cannot be read as a picture: {error or type(error).__name__}.") from error


def _as_seen(image: Image.Image) -> Image.Image:
    image.load()
    profile = image.info.get("icc_profile")
    with suppress(Exception):  # the note on how it was held may be damaged although the picture is not
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits and more
        values = np.asarray(image, np.float32)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise ValueError(f"its pixels are of the kind {image.mode!r}; save it with 8 or 16 bits")
        return Image.fromarray((values / 257).round().astype(np.uint8))
    grey = image.mode in ("1", "L", "LA", "La")
    if profile and not grey:
        image = _in_srgb(image, profile)
    opaque = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(opaque, image.convert("RGBA")).convert("L" if grey else "RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB; as it is if that is its profile already, or if the profile cannot be used."""
    if image.mode not in ("RGB", "RGBA", "CMYK"):
        image = image.convert("RGBA")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def _is_own(name: str) -> bool:
    """Whether a file or folder is one that a user would name."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS | SYSTEM_FILES


def _count_endings(paths: Sequence[Path]) -> str:
    """'3 .heic, 1 .txt'"""
    counts = Counter(path.suffix.lower() or "without an ending" for path in paths)
    return in_few_words([f"{count} {ending}" for ending, count in counts.most_common()])
