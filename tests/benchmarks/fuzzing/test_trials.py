"""Odd pictures, names and recordings that Hypothesis draws: a result or a sentence, and nothing else is touched."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzzing import trials
from benchmarks.fuzzing.names import characters, odd_name
from benchmarks.fuzzing.pictures import odd_picture
from benchmarks.fuzzing.recordings import FFMPEG, odd_recording
from benchmarks.fuzzing.run_folders import change_run
from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError

# Warnings name files that no encoding has, which a worker of pytest-xdist cannot report.
pytestmark = pytest.mark.filterwarnings("ignore")
a_few = settings(max_examples=25, suppress_health_check=list(HealthCheck))
# Seeds, since most of what is odd is drawn by libraries from their own generators.
chances = st.integers(0, 2**32).map(random.Random)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@given(chance=chances)
@a_few
def test_odd_pictures_are_translated_or_refused(chance: random.Random) -> None:
    with scratch() as folder, contextlib.suppress(UserError):
        trials.try_picture(folder, *odd_picture(chance))


@given(chance=chances)
@a_few
def test_files_of_any_name_have_a_result_or_are_named(chance: random.Random) -> None:
    names = [odd_name(chance, chance.choice((".wav", ".png", ".ppm", ".flac", ".txt"))) for _ in range(3)]
    with scratch() as folder, contextlib.suppress(UserError):
        trials.try_names(folder, names)


@given(chance=chances)
@a_few
def test_odd_recordings_are_read_or_refused(chance: random.Random) -> None:
    name, content = odd_recording(chance)
    with scratch() as folder, contextlib.suppress(UserError):
        (folder / name).write_bytes(content)
        wav = load_audio(folder / name, 16000)
        assert np.isfinite(wav).all()
        assert np.abs(wav).max() <= 1


def test_lost_results_and_changed_originals_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="1 of 2 pictures failed"):
        trials.try_picture(tmp_path / "refused", "odd.png", b"no picture")
    from recipes import translate

    monkeypatch.setattr(translate, "result_names", lambda paths: [Path("same.png") for _ in paths])
    with pytest.raises(AssertionError, match="a result is missing"):
        trials.try_names(tmp_path / "lost", ["a.png", "b.png"])

    def overwrite(translator: object, source: Path, out: Path) -> None:
        Image.new("RGB", (1, 1)).save(source / "a.png")

    monkeypatch.setattr(translate, "translate_folder", overwrite)
    with pytest.raises(AssertionError, match="originals were changed"):
        trials.try_names(tmp_path / "changed", ["a.png"])


def test_names_are_of_every_category_and_fit() -> None:
    assert {"Lu", "Mn", "Nd", "Cc", "Cf", "Cs", "Co", "So", "Zs"} <= set(characters())
    names = [odd_name(random.Random(seed), ".wav") for seed in range(300)]
    assert all("/" not in name and "\0" not in name for name in names)
    assert max(len(name.encode(errors="surrogateescape")) for name in names) == 255
    assert len(set(names)) > 250


def test_recordings_are_of_many_formats() -> None:
    endings = {odd_recording(random.Random(seed))[0].split(".")[-1] for seed in range(150)}
    assert len(endings) > 25
    assert len(endings & {extension for extension, *_ in FFMPEG}) > 15


def test_a_run_folder_is_changed_in_every_way(tmp_path: Path) -> None:
    done = set()
    for seed in range(80):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "a.json").write_text('{"a": {"b": [1, 2]}}')
        (folder / "b.bin").write_bytes(bytes(100))
        done |= {change.split(":")[0] for change in change_run(folder, random.Random(seed))}
    assert done == {
        *("gone", "empty", "cut off", "mutated", "other value", "swapped", "folder", "link", "future", "past", "extra")
    }
