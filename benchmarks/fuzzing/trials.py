"""Hands odd inputs to the program and checks what it promises: a result or a sentence, and no lost or foreign data.

An exception that `voiceconv.errors.explain` has no words for, or an `AssertionError`, is a finding.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import numpy as np
from PIL import Image

from benchmarks.fuzzing.environments import PLACES, Environment, environment_case
from benchmarks.fuzzing.names import names_case
from benchmarks.fuzzing.pictures import picture_case
from benchmarks.fuzzing.recordings import audio_case, recordings
from benchmarks.fuzzing.run_folders import change_run
from benchmarks.fuzzing.states import History, home_at, make_home, odd_story, state_case
from benchmarks.fuzzing.voices import voice_case

RATE = 16000
ENVIRONMENT_SECONDS = 300.0
KINDS = ("audio", "voice", "picture", "names", "run folder", "state", "environment")


def inputs(kind: str, number: int, model: str) -> dict[str, bytes]:
    """The files of a case by name, or a description of it, made from its number alone."""
    if kind == "audio":
        return dict([audio_case(number)])
    if kind == "voice":
        return dict([voice_case(number, model)])
    if kind == "picture":
        return dict([picture_case(number)])
    if kind == "names":
        return {"names.json": json.dumps(names_case(number)).encode()}
    if kind == "state":
        return {"story.json": json.dumps(state_case(number)).encode()}
    if kind == "environment":
        return {"environment.json": json.dumps(environment_case(number)._asdict()).encode()}
    return {"seed.txt": f"run folder {number}".encode()}


class Trials:
    """Tries cases of any kind in a scratch folder; what a kind needs is loaded or made for its first case."""

    def __init__(self, model: str, home: Path) -> None:
        self.model, self.home = model, home
        self.converter: Any = None

    def run(self, kind: str, number: int) -> None:
        """Raises for a refusal or a finding; returns if there was a result."""
        folder = self.home / "case"
        folder.mkdir()
        try:
            if kind in ("audio", "voice"):
                ((name, content),) = inputs(kind, number, self.model).items()
                (folder / name).write_bytes(content)
                (self._try_audio if kind == "audio" else self._try_voice)(folder / name, number)
            elif kind == "picture":
                try_picture(folder, *picture_case(number))
            elif kind == "names":
                try_names(folder, names_case(number))
            elif kind == "environment":
                try_environment(folder, environment_case(number), self.model, self._speakers(), self._translator())
            elif kind == "state":
                try_story(folder, self._finished_home(), random.Random(f"state {number}"))
            else:
                try_run_folder(folder, self._finished_run(), random.Random(f"run folder {number}"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _try_audio(self, path: Path, number: int) -> None:
        from voiceconv.convert.converter import VoiceConverter

        self.converter = self.converter or VoiceConverter.from_pretrained(self.model, device="cpu")
        convert(self.converter, path, number)

    def _try_voice(self, path: Path, number: int) -> None:
        from voiceconv import user_data
        from voiceconv.convert.converter import VoiceConverter
        from voiceconv.convert.import_voice import import_voice

        sound = path.with_name("sound.wav")
        sound.write_bytes(recordings()["a.wav"])
        try:
            added = import_voice(path, f"case {number}")
            convert(VoiceConverter.from_pretrained(added, device="cpu"), sound, number)
        finally:
            shutil.rmtree(user_data.voices_folder(), ignore_errors=True)

    def _speakers(self) -> Path:
        """A folder with recordings of two speakers, low and high."""
        from recipes.common.voice import synthetic_speaker

        root = self.home / "trained"
        if not root.exists():
            for name, f0 in (("low", 110.0), ("high", 210.0)):
                synthetic_speaker(root / name, f0)
        return root

    def _finished_run(self) -> Path:
        """The same with the folder of a run between them."""
        root = self._speakers()
        if not (root / "run").exists():
            continue_run(root, resume=False)
        return root

    def _finished_home(self) -> Path:
        """A user's folder with finished trainings and their voices."""
        home = self.home / "home"
        if not home.exists():
            with home_at(home):
                make_home(self._finished_run() / "run" / "voice")
        return home

    def _translator(self) -> Path:
        """The folder of a run whose generator changes pictures."""
        from recipes.common.translation import GeneratorDescription, save_generator

        path = self.home / "translator" / "generator_ab.safetensors"
        if not path.exists():
            path.parent.mkdir()
            description = GeneratorDescription("resnet_6blocks", 3, 3, 2, "instance", False, "resize")
            save_generator(path, description.build(), description)
        return path.parent


def convert(converter: Any, path: Path, number: int) -> None:
    """Converts a recording, every second one as if it were long, and checks the result's length."""
    from voiceconv.audio.files import load_audio
    from voiceconv.convert import file as file_conversion

    file_conversion.LONG_SECONDS = 0.3 if number % 2 else 60.0
    out = path.with_name("converted.wav")
    seconds = file_conversion.convert_file(converter, path, out, converter.voices[1], comment="fuzz", max_seconds=20.0)
    assert len(load_audio(out, converter.sample_rate)) == round(seconds * converter.sample_rate)


class Same:
    """In place of a `Translator`: pictures come back as they are."""

    def __call__(self, picture: Image.Image) -> Image.Image:
        return picture.convert("RGB")


def try_picture(folder: Path, name: str, content: bytes) -> None:
    """Translates a picture beside one that is whole: that one has its result, whatever becomes of the other."""
    from recipes.common.picture_files import read_picture
    from recipes.translate import translate_folder

    source, out = folder / "in", folder / "out"
    source.mkdir(parents=True)
    (source / name).write_bytes(content)
    Image.new("RGB", (9, 7), "red").save(source / "whole.png")
    before = contents(source)
    try:
        quietly(translate_folder, Same(), source, out)
        assert Image.open(next(out.glob("odd*"))).size == read_picture(source / name).size
    finally:
        assert contents(source) == before, "originals were changed"
        assert Image.open(out / "whole.png").size == (9, 7), "another picture was held up"
        assert len(list(out.iterdir())) <= 2, "there are results of nothing"


def try_names(folder: Path, paths: Sequence[str]) -> None:
    """Changes recordings and translates pictures of these names: each has a result of its own, or is named."""
    from recipes.common.picture_files import list_pictures
    from recipes.translate import translate_folder
    from voiceconv.audio.files import find_audio, load_audio
    from voiceconv.convert.outputs import change_files, plan_outputs
    from voiceconv.errors import UserError

    source = folder / "in"
    for path in paths:
        place = source / path
        if not place.exists() and not any(parent.is_file() for parent in place.parents):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content_for(place.suffix))
    before = contents(source)
    refusals: list[UserError] = []

    def change(wav: np.ndarray) -> np.ndarray:
        return wav

    try:
        pictures = list_pictures(source, inner=True)[0]
        if pictures:
            try:
                quietly(translate_folder, Same(), source, folder / "pictures")
            except UserError as error:
                refusals.append(error)
            results = [path for path in (folder / "pictures").rglob("*") if path.is_file()]
            assert len(results) + _listed(refusals) == len(pictures), "a result is missing"
        try:
            pairs = plan_outputs(source, folder / "sounds")
        except UserError:  # there is none
            pairs = []
        assert len({str(target) for _, target in pairs}) == len(pairs) == (len(find_audio(source)) if pairs else 0)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = quietly(change_files, pairs, RATE, change, "fuzz")
        written = [target for _, target in pairs if target.exists()]
        for target in written:
            load_audio(target, RATE)
        assert status == (0 if len(written) == len(pairs) else 2), said.getvalue()
    finally:
        assert contents(source) == before, "originals were changed"
    if refusals:
        raise refusals[0]


def _listed(refusals: Sequence[Exception]) -> int:
    """How many pictures a refusal of some of them names: 'N of M pictures failed'."""
    return sum(int(str(error).split(" of ")[0]) for error in refusals)


def content_for(ending: str) -> bytes:
    """A small file of the kind that its ending says."""
    if ending.lower() in (".png", ".ppm", ".bmp"):
        buffer = io.BytesIO()
        Image.new("RGB", (9, 7), "red").save(buffer, {".png": "PNG", ".ppm": "PPM", ".bmp": "BMP"}[ending.lower()])
        return buffer.getvalue()
    return recordings()["a.wav" if ending.lower() != ".flac" else "c.flac"]


def try_run_folder(folder: Path, finished: Path, chance: random.Random) -> None:
    """Changes a copy of a finished run, and goes on with it: the recordings stay, and what is refused is said."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    done = change_run(folder / "run", chance)
    sounds = contents(folder / "low") | contents(folder / "high")
    try:
        continue_run(folder, resume=chance.random() < 0.8)
    except Exception as error:
        error.args = (f"{error} (after {', '.join(done)})",)
        raise
    finally:
        assert contents(folder / "low") | contents(folder / "high") == sounds, "recordings were changed"


def continue_run(root: Path, *, resume: bool) -> None:
    """Trains between the speakers in `root`, for a few steps."""
    from voiceconv.training.train import train

    with contextlib.redirect_stderr(io.StringIO()):
        quietly(train, root / "low", root / "high", root / "run", preset="smoke", resume=resume)


def try_story(folder: Path, home: Path, chance: random.Random) -> None:
    """Plays a story in a copy of a home; raises the first refusal in it."""
    shutil.copytree(home, folder / "home")
    with home_at(folder / "home"):
        history = History(folder / "scratch", chance)
        quietly(history.play, odd_story(chance))
    if history.refusals:
        raise history.refusals[0]


def try_environment(folder: Path, environment: Environment, model: str, speakers: Path, translator: Path) -> None:
    """Runs a command in an environment; raises `UserError` with its words if it refuses."""
    from voiceconv.errors import UserError

    (folder / "a.wav").write_bytes(recordings()["a.wav"])
    Image.new("RGB", (9, 7), "red").save(folder / "a.png")
    (folder / "out").mkdir()
    (folder / "temporary").mkdir()
    before = contents(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recorded = [str(speakers / "low"), str(speakers / "high")]
    arguments, result = {
        "voices": (["voiceconv", "voices"], "."),
        "help": (["voiceconv", "--help"], "."),
        "inspect": (["voiceconv", "inspect", "."], "."),
        "convert": (["voiceconv", "convert", "a.wav", "out/a.wav", "--to", "joe", "--model", model], "out/a.wav"),
        "export": (["voiceconv", "voices", "export", model, "out/a.voice"], "out/a.voice"),
        "translate": (["recipes.translate", str(translator), "a.png", "out/a.png"], "out/a.png"),
        "train": (
            ["voiceconv", "train", *recorded, "--run", "out/run", "--preset", "smoke"],
            "out/run/voice/voice.json",
        ),
        "app": (["voiceconv", "app", "--port", str(port)], "."),
    }[environment.command]
    variables = {key: value for key, value in os.environ.items() if key not in environment.unset}
    variables |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()} | environment.variables
    place = PLACES[environment.place] if can_mount() else ""
    limits = f"ulimit -n {environment.open_files}; umask {environment.umask:03o}"
    shell = f'{place or ":"} || exit 99; {limits}; exec "$0" -m "$@" {environment.streams}'
    alone = ["unshare", "--map-root-user", "--mount"] if place else []
    process = subprocess.Popen(
        [*alone, "/bin/sh", "-c", shell, sys.executable, *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        if environment.command == "app":
            look_at_page(process, port)
        said = process.communicate(timeout=ENVIRONMENT_SECONDS)[1].decode(errors="replace")
    finally:
        process.kill()
    assert "Traceback" not in said, said
    assert process.returncode in (0, 2), f"exit status {process.returncode}: {said}"
    assert all((folder / name).read_bytes() == content for name, content in before.items()), "originals were changed"
    if process.returncode == 2:
        assert said.strip() or environment.streams == "2>/dev/null", "nothing was said"
        raise UserError(said or "refused, with its words redirected")
    assert environment.place == "full disk" or (folder / result).exists(), "there is no result"


@cache
def can_mount() -> bool:
    """Whether this system lets a command see other mounts than its siblings."""
    command = shutil.which("unshare")
    return command is not None and subprocess.run([command, "-rm", "true"], check=False).returncode == 0


def look_at_page(process: subprocess.Popen[bytes], port: int) -> None:
    """Waits until the page is shown, and ends its server; returns at once if that has ended."""
    opener = build_opener(ProxyHandler({}))
    until = time.monotonic() + ENVIRONMENT_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            assert b"gradio" in opener.open(f"http://127.0.0.1:{port}/", timeout=ENVIRONMENT_SECONDS).read()
            break
        except HTTPError:
            raise
        except OSError:  # not yet
            time.sleep(0.1)
    process.terminate()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder and below it."""
    return {
        os.path.relpath(os.path.join(root, name), folder): Path(root, name).read_bytes()
        for root, _, names in os.walk(folder)
        for name in names
    }


def quietly(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Calls `function` without what it prints and warns of."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return function(*args, **options)
