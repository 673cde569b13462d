"""Odd inputs of every kind that Hypothesis draws: a result or a sentence, and nothing else is touched."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
import unicodedata
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzzing import trials
from benchmarks.fuzzing.environments import COMMANDS, PLACES, odd_environment
from benchmarks.fuzzing.names import characters, odd_name
from benchmarks.fuzzing.pictures import ORIENTATION, odd_exif, odd_picture
from benchmarks.fuzzing.recordings import FFMPEG, odd_recording
from benchmarks.fuzzing.run_folders import change_run
from benchmarks.fuzzing.states import ACTIONS, BYSTANDER, History, home_at, make_home, odd_story
from benchmarks.fuzzing.voices import odd_voice, pack, voice_file
from voiceconv.audio.files import load_audio
from voiceconv.convert.import_voice import import_voice
from voiceconv.errors import UserError
from voiceconv.user_data import runs_folder, voices_folder
from voiceconv.voice.voice import Voice

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


@given(chance=chances)
@settings(a_few, max_examples=8)
def test_odd_voices_are_added_or_refused(tiny_voice: Path, chance: random.Random) -> None:
    with zipfile.ZipFile(io.BytesIO(voice_file(str(tiny_voice)))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with scratch() as folder, home_at(folder / "home"):
        (folder / "odd.voice").write_bytes(pack(odd_voice(files, chance)))
        try:
            Voice.load(import_voice(folder / "odd.voice", "odd"))
        except UserError:
            assert not list(voices_folder().glob("*")), "what was refused left something behind"


@pytest.fixture(scope="module")
def finished_home(tiny_voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("fuzzing") / "home"
    with home_at(home):
        make_home(tiny_voice)
    return home


@given(chance=chances)
@a_few
def test_whatever_happens_to_trainings_and_voices_others_are_kept(finished_home: Path, chance: random.Random) -> None:
    with scratch() as folder, contextlib.suppress(UserError, OSError):
        trials.try_story(folder, finished_home, chance)


def test_stories_tell_of_everything_and_a_change_to_others_is_a_finding(finished_home: Path, tmp_path: Path) -> None:
    assert {action for seed in range(40) for action in odd_story(random.Random(seed))} == set(ACTIONS)
    shutil.copytree(finished_home, tmp_path / "home")
    with home_at(tmp_path / "home"):
        history = History(tmp_path / "scratch", random.Random(0))
        history.run = lambda: runs_folder() / BYSTANDER  # type: ignore[method-assign]
        with pytest.raises(AssertionError, match="a training is gone"):
            history.play(["delete a training"])


@given(chance=chances)
@settings(a_few, max_examples=3)
def test_commands_run_in_any_environment_or_say_why_not(tmp_path: Path, chance: random.Random) -> None:
    environment = odd_environment(chance)._replace(command=chance.choice(("voices", "inspect", "help")))
    with scratch() as folder, contextlib.suppress(UserError):
        trials.try_environment(folder, environment, "allison-joe", tmp_path, tmp_path)


def test_environments_are_of_every_kind(tmp_path: Path) -> None:
    drawn = [odd_environment(random.Random(seed)) for seed in range(200)]
    assert {each.command for each in drawn} == set(COMMANDS)
    assert {each.place for each in drawn} == set(PLACES)
    full = drawn[0]._replace(command="export", place="full disk", variables={}, unset=[], open_files=256, streams="")
    if trials.can_mount():
        with pytest.raises(UserError, match="No space left"):
            trials.try_environment(tmp_path, full, "allison-joe", tmp_path, tmp_path)


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
    stems = [odd_name(random.Random(seed), "") for seed in range(3000)]
    assert {"CON", "NUL", "COM1", "-", "...", ".", "a.", "Jos\u00e9", "Jose\u0301"} <= set(stems)
    assert any(stem != unicodedata.normalize("NFC", stem) for stem in stems)
    assert any(stem != unicodedata.normalize("NFD", stem) for stem in stems)


def test_pictures_are_of_every_mode_depth_and_orientation() -> None:
    seen = set()
    for seed in range(200):
        _, content = odd_picture(random.Random(seed))
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(content))
            seen |= {picture.mode, picture.format, "animated" if getattr(picture, "n_frames", 1) > 1 else "still"}
            seen.add("profile" if "icc_profile" in picture.info else "none")
            try:
                if max(picture.size) < 1000:
                    picture.load()
            except OSError:
                seen.add("truncated")
    assert {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "animated", "profile", "truncated"} <= seen
    assert {"PNG", "TIFF", "JPEG", "WEBP", "GIF", "BMP"} <= seen


def test_orientations_are_all_there_are() -> None:
    found = set()
    for seed in range(100):
        exif = Image.Exif()
        with contextlib.suppress(Exception):
            exif.load(odd_exif(random.Random(seed)))
        found.add(exif.get(ORIENTATION))
    assert set(range(1, 9)) <= found


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
