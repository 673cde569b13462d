"""What SECURITY.md promises and no other test tries: pickles run no code, and names stay text.

Archives of voices are tried in tests/voiceconv/voice/test_archive.py, the page's endpoints in
tests/voiceconv/studio/test_server.py.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from generative_core.pretrained import load_reference_generator
from generative_core.report import Report
from generative_core.training.checkpoint import CheckpointError, load_checkpoint, load_latest_checkpoint
from recipes.common.gan import check_images
from recipes.common.image_data import image_folder
from recipes.common.image_figures import image_grid, scatter_classes
from recipes.common.translator import load_translators
from voiceconv.convert.import_voice import import_voice
from voiceconv.errors import UserError
from voiceconv.voice.voice import Voice

CPU = torch.device("cpu")
NAME = "<img src=x onerror=alert(1)>$<script>alert(document.domain)<!script>"


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def bare(payload: object) -> bytes:
    return pickle.dumps(payload)


def inside_a_file_of_torch(payload: object) -> bytes:
    """The layout of `torch.save`, with a pickle of our own in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model.1.weight": payload}, 2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return content.getvalue()


def saved_by_torch(payload: object) -> bytes:
    content = io.BytesIO()
    torch.save({"model.1.weight": torch.zeros(2), "payload": payload}, content)
    return content.getvalue()


PACKED = [bare, inside_a_file_of_torch, saved_by_torch]


@pytest.mark.parametrize("pack", PACKED)
def test_pickled_generators_are_refused_and_run_nothing(pack: Callable[[object], bytes], tmp_path: Path) -> None:
    mark, path = tmp_path / "run", tmp_path / "latest_net_G.pth"
    path.write_bytes(pack(Payload(mark)))
    with pytest.raises(CheckpointError, match="not a file of weights"):
        load_reference_generator(path)
    with pytest.raises(UserError, match="not a file of weights"):
        load_translators(path, None, CPU)
    path.rename(tmp_path / "generator_ab.safetensors")
    with pytest.raises(UserError, match="not a generator that a recipe has saved"):
        load_translators(tmp_path, None, CPU)
    assert not mark.exists()


@pytest.mark.parametrize("pack", PACKED)
def test_pickled_checkpoints_are_refused_and_run_nothing(pack: Callable[[object], bytes], tmp_path: Path) -> None:
    """With a name that its hash agrees with, as an attacker would write it."""
    mark = tmp_path / "run"
    content = pack(Payload(mark))
    path = tmp_path / f"step_00001000-{hashlib.sha256(content).hexdigest()[:12]}.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint of this library"):
        load_checkpoint(path)
    with (
        pytest.warns(UserWarning, match="using the one before"),
        pytest.raises(CheckpointError, match="None of the 1 checkpoints"),
    ):
        load_latest_checkpoint(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("pack", PACKED)
def test_pickles_handed_as_voices_are_refused_and_run_nothing(
    pack: Callable[[object], bytes], tiny_voice: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "run"
    content = pack(Payload(mark))
    (tmp_path / "a.voice").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.voice is refused"):
        import_voice(tmp_path / "a.voice")
    folder = tmp_path / "voice"
    folder.mkdir()
    for name in ("voice.json", "weights.safetensors"):
        (folder / name).write_bytes((tiny_voice / name).read_bytes())
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(UserError):
        Voice.load(folder)
    assert not mark.exists()


class Page(HTMLParser):
    """Collects what a browser would run or fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.active: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.active += [tag] if tag in ("script", "iframe", "object", "embed", "base", "form", "link") else []
        for name, value in attrs:
            value = (value or "").strip().lower()
            if name.startswith("on") or (
                name in ("src", "href", "xlink:href") and not value.startswith(("data:", "#"))
            ):
                self.active.append(f"{tag} {name}={value}")


def test_the_collector_sees_what_is_active() -> None:
    assert Page('<p>a</p><img src="data:x"><a href="#b">').active == []
    assert len(Page('<script></script><img src=x onerror="y"><a href="javascript:z">').active) == 4


def test_names_of_files_and_classes_stay_text_in_a_report(tmp_path: Path) -> None:
    """A report that is opened from file:// has the rights of a file: nothing in it may run."""
    for folder in (NAME, "a\u202eb & c"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            Image.new("RGB", (12, 12), (number, 0, 0)).save(tmp_path / folder / f"{number}.png")
    images = image_folder(tmp_path, 8)
    assert NAME in images.classes
    report = Report(NAME).heading(NAME).text(NAME).table([(NAME, 1)], [NAME, "count"])
    report.figure(
        image_grid(images.x[:4].view(2, 2, 3, 8, 8), rows=images.classes, columns=[NAME, "$"], title=NAME), NAME
    )
    report.figure(scatter_classes(torch.rand(12, 2), images, NAME), NAME)
    report.save(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Page(html).active == []
    assert "&lt;script&gt;" in html
    with pytest.raises(UserError, match="scores need at least"):
        check_images(images, images.where(torch.arange(3)), by_class=True)
