"""Picture files as people have them: what is listed, what is left out, and how those that are read look."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from recipes.common.picture_files import (
    EXTENSIONS,
    FORMATS,
    UnreadablePicture,
    find_pictures,
    list_pictures,
    name_key,
    read_picture,
    sub_folders,
)
from voiceconv.errors import UserError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(
    path: Path, mode: str = "RGB", color: object = RED, size: tuple[int, int] = (12, 16), **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)  # type: ignore[arg-type]
    return path


def half_and_half() -> Image.Image:
    """Red above, blue below, 8 wide and 16 high."""
    picture = Image.new("RGB", (8, 16), RED)
    picture.paste(BLUE, (0, 8, 8, 16))
    return picture


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_what_systems_leave_among_pictures_is_neither_a_picture_nor_named(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    save(tmp_path / "inner" / "1.JPG")
    for name in ("._0.png", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    for folder in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".Trashes"):
        save(tmp_path / folder / "2.png")
    pictures, others = list_pictures(tmp_path, inner=True)
    assert names(pictures) == ["0.png", "1.JPG"]
    assert others == []
    assert names(sub_folders(tmp_path)) == ["inner"]
    assert names(list_pictures(tmp_path)[0]) == ["0.png"]


def test_what_else_lies_there_is_counted_and_named(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "photo.heic").write_bytes(b"one that cannot be read")
    with pytest.warns(UserWarning, match=r"2 files in it are not pictures and are left out: notes\.txt, photo\.heic"):
        assert names(find_pictures(tmp_path)) == ["0.png"]
    (tmp_path / "0.png").unlink()
    with pytest.raises(UserError, match=r"holds no pictures, only 1 \.txt, 1 \.heic\. Expected are .*\.ppm"):
        find_pictures(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        find_pictures(tmp_path / "notes.txt")


def test_links_in_circles_and_things_that_are_no_files(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png")
    (tmp_path / "a" / "round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "linked.png").symlink_to(tmp_path / "a" / "0.png")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "self.png").symlink_to(tmp_path / "a" / "self.png")
    (tmp_path / "a" / "folder.png").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.png")  # opening it would wait for ever
    pictures, others = list_pictures(tmp_path, inner=True)
    assert names(pictures) == ["0.png", "linked.png"]
    assert names(others) == ["gone.png", "pipe.png", "self.png"]
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(UnreadablePicture, match="is not a file"):
            read_picture(tmp_path / "a" / name)
    with pytest.raises(UnreadablePicture, match="There is no picture"):
        read_picture(tmp_path / "a" / "gone.png")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_found_and_read(form: str, tmp_path: Path) -> None:
    (ending, *_) = (ending for ending, name in Image.registered_extensions().items() if name == form)
    picture = half_and_half().resize((64, 128), Image.Resampling.NEAREST)
    picture.save(tmp_path / f"x{ending.upper()}", form)
    (path,) = find_pictures(tmp_path)
    read = np.asarray(read_picture(path).convert("RGB"), int)
    assert np.abs(read - np.asarray(picture, int)).mean() < 8  # some formats lose a little
    assert {".ppm", ".pgm", ".pnm", ".tga", ".jp2", ".jfif", ".apng"} <= EXTENSIONS
    assert not {".eps", ".pdf", ".svg", ".mpg", ".h5"} & EXTENSIONS


def test_a_file_that_only_pretends_runs_no_other_program(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript; a .png may hold it."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(UnreadablePicture, match="in no format that is known"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    list(
        enumerate(
            (
                None,
                Image.Transpose.FLIP_LEFT_RIGHT,
                Image.Transpose.ROTATE_180,
                Image.Transpose.FLIP_TOP_BOTTOM,
                Image.Transpose.TRANSPOSE,
                Image.Transpose.ROTATE_90,  # what is held turned right has to be turned left to be stored
                Image.Transpose.TRANSVERSE,
                Image.Transpose.ROTATE_270,
            ),
            start=1,
        )
    ),
)
def test_photographs_are_upright(orientation: int, turn: Image.Transpose | None, ending: str, tmp_path: Path) -> None:
    upright = half_and_half().resize((32, 64), Image.Resampling.NEAREST)
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{ending}", exif=exif)
    read = read_picture(tmp_path / f"a.{ending}")
    assert read.size == (32, 64)
    assert np.abs(np.asarray(read, int) - np.asarray(upright, int)).mean() < 8


def test_a_damaged_note_on_orientation_does_not_stop_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (12, 16), RED).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40))
    assert read_picture(tmp_path / "a.png").size == (12, 16)


@pytest.mark.parametrize(
    ("mode", "color", "ending", "expected"),
    [
        ("1", 1, "png", 255),
        ("L", 100, "png", 100),
        ("LA", (0, 128), "png", 127),  # black, half transparent, on white
        ("I;16", 100 * 257, "png", 100),
        ("I;16", 100 * 257, "tif", 100),
        ("I", 100 * 257, "tif", 100),
        ("RGB", (10, 20, 30), "png", (10, 20, 30)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), "webp", (127, 127, 127)),
        ("P", 0, "gif", (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "jpg", (254, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
    ],
)
def test_every_kind_of_pixel_becomes_grey_or_colour(
    mode: str, color: object, ending: str, expected: object, tmp_path: Path
) -> None:
    read = read_picture(save(tmp_path / f"a.{ending}", mode, color))
    assert read.mode == ("L" if isinstance(expected, int) else "RGB")
    assert np.abs(np.array(read.getpixel((6, 8))) - np.array(expected)).max() <= 1
    assert read.size == (12, 16)


@pytest.mark.parametrize(("mode", "color"), [("F", 0.5), ("I", 70000), ("I", -1)])
def test_pixels_that_have_no_brightness_are_refused(mode: str, color: float, tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match="save it with 8 or 16 bits"):
        read_picture(save(tmp_path / "a.tif", mode, color))


def test_colours_of_another_profile_are_those_that_are_seen(tmp_path: Path) -> None:
    """In a space with a linear tone curve, 55 of 255 is what sRGB calls 128."""
    linear = ImageCms.ImageCmsProfile(io.BytesIO(linear_srgb_profile()))
    read = read_picture(save(tmp_path / "a.png", "RGB", (55, 55, 55), icc_profile=linear.tobytes()))
    assert np.abs(np.array(read.getpixel((0, 0))) - 128).max() <= 2
    clear = read_picture(save(tmp_path / "b.png", "RGBA", (55, 55, 55, 0), icc_profile=linear.tobytes()))
    assert clear.getpixel((0, 0)) == (255, 255, 255)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", linear.tobytes()[:200]):
        same = read_picture(save(tmp_path / "c.png", "RGB", (55, 60, 65), icc_profile=profile))
        assert same.getpixel((0, 0)) == (55, 60, 65)


def linear_srgb_profile() -> bytes:
    """LittleCMS's sRGB with every tone curve replaced by a straight line."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(content[128:132], "big")
    for number in range(count):
        entry = 132 + 12 * number
        name, start = bytes(content[entry : entry + 4]), int.from_bytes(content[entry + 4 : entry + 8], "big")
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            content[start : start + 12] = b"curv" + bytes(8)  # a curve of no points is the identity
    return bytes(content.replace("sRGB".encode("utf-16-be"), "line".encode("utf-16-be")))


def test_odd_sizes(tmp_path: Path) -> None:
    assert read_picture(save(tmp_path / "one.png", size=(1, 1))).size == (1, 1)
    assert read_picture(save(tmp_path / "thin.png", size=(3000, 1))).size == (3000, 1)
    with pytest.raises(UnreadablePicture, match=r"thin\.png is 3000x1, smaller than 8x8"):
        read_picture(tmp_path / "thin.png", 8)
    save(tmp_path / "bomb.png", "1", 0, (20000, 20000))
    with pytest.raises(UnreadablePicture, match=r"more than 178,956,970 pixels\. Make it smaller"):
        read_picture(tmp_path / "bomb.png")


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (12, 16), color) for color in (RED, BLUE)]
    for ending in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
        red, _, blue = read_picture(tmp_path / f"a.{ending}").getpixel((0, 0))  # type: ignore[misc]
        assert red > 200 > 50 > blue


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    content = save(tmp_path / "torn.png", size=(300, 300)).read_bytes()
    (tmp_path / "torn.png").write_bytes(content[: len(content) // 2])
    for name, message in (
        ("empty.png", r"empty\.png is empty \(0 bytes\)"),
        ("text.png", r"text\.png cannot be read as a picture: it is in no format"),
        ("torn.png", r"torn\.png cannot be read as a picture: .*truncated"),
        ("nowhere.png", r"There is no picture .*nowhere\.png"),
    ):
        with pytest.raises(UnreadablePicture, match=message):
            read_picture(tmp_path / name)


def test_names_that_file_systems_take_for_the_same() -> None:
    assert name_key("Jos\u00e9.PNG") == name_key("jose\u0301.png")
    assert name_key("a.png") != name_key("b.png")
