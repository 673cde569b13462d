"""A wheel built from the clone holds all that a user needs: installed elsewhere, it converts and opens the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.serving import ROOT, serving
from tests.waiting import PATIENCE

CLIP = ROOT / "voiceconv" / "pretrained" / "voices" / "allison-joe" / "examples" / "allison" / "dir-nomatch.flac"


def run(*words: object, cwd: Path, **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `pip install` of the wheel puts there; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("voiceconv", "generative_core", "recipes", "benchmarks", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", source)
    quiet = ("--quiet", "--disable-pip-version-check")
    run("pip", "wheel", *quiet, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run("pip", "install", *quiet, "--no-deps", "--target", site, wheel, cwd=folder)
    return site


@pytest.mark.slow
def test_only_the_two_packages_are_installed(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names - {"bin"} == {"voiceconv", "generative_core"}


@pytest.mark.slow
def test_it_converts(installed: Path, tmp_path: Path) -> None:
    where = run("voiceconv", "--version", cwd=tmp_path, PYTHONPATH=str(installed))
    assert where.startswith("voiceconv ")
    found = "import voiceconv, generative_core; print(voiceconv.__file__, generative_core.__file__)"
    process = subprocess.run(
        [sys.executable, "-c", found],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert all(Path(path).is_relative_to(installed) for path in process.stdout.split()), process.stdout
    run("voiceconv", "convert", CLIP, "out.flac", "--to", "joe", cwd=tmp_path, PYTHONPATH=str(installed))
    assert (tmp_path / "out.flac").stat().st_size > 10_000


@pytest.mark.slow
def test_it_opens_the_page(installed: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path, cwd=tmp_path, PYTHONPATH=str(installed)) as address,
        urllib.request.urlopen(address, timeout=PATIENCE) as answer,
    ):
        assert b"gradio" in answer.read()
