"""The README's code works as it stands: every Python and shell snippet runs, on a tiny voice and the smoke preset."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from voiceconv.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(tiny_voice: Path, two_speakers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recordings that the README names; the shipped voice is the tiny one."""
    shutil.copytree(tiny_voice, tmp_path / "voices" / "allison-joe")
    monkeypatch.setattr("voiceconv.voice.voice.VOICES", tmp_path / "voices")
    monkeypatch.setattr("voiceconv.training.train.JUDGE_STEPS", 2)
    for name, folder in zip(("alice", "bob"), two_speakers, strict=True):
        shutil.copytree(folder, tmp_path / name)
    (tmp_path / "my_recordings").mkdir()
    for name in ("in.wav", "allison.wav", "my_recordings/one.wav"):
        shutil.copy(two_speakers[0] / "00.wav", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_python_snippets(desk: Path) -> None:
    conversion, core = snippets("python")
    exec(conversion, {})
    assert (desk / "joe.wav").is_file()
    assert "steps=200_000" in core
    exec(core.replace("steps=200_000", "steps=1"), {})
    assert (desk / "runs" / "ab" / "metrics.jsonl").is_file()


@pytest.mark.slow
def test_shell_snippets(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [shlex.split(line, comments=True) for block in snippets("shell") for line in block.splitlines()]
    commands = [words[1:] for words in lines if words and words[0] == "voiceconv"]
    assert {words[0] for words in commands} == {
        "convert",
        "live",
        "resynth",
        "voices",
        "inspect",
        "train",
        "train-vocoder",
        "evaluate",
        "app",
    }
    for words in commands:
        if words[0].startswith("train"):
            words = [*words, "--preset", "smoke"] + (["--budget", "0.01s"] if "--resume" not in words else [])
        if words[0] == "evaluate":  # one recording of each was kept from training, and two are needed
            words = [*words, "--all-clips", "--clips", "2", "--vocoder", "griffin-lim"]
        if words[0] == "app":
            continue  # tested with a browser
        if words[0] == "live" and "--file" not in words:
            continue  # needs a microphone
        assert main(words) == 0, (words, capsys.readouterr().err)
    for written in (
        "out.wav",
        "converted/one.wav",
        "live.wav",
        "resynthesised.wav",
        "report.html",
        "as-bob.wav",
        "report/evaluation.html",
    ):
        assert (desk / written).is_file(), written


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(snippets("shell")), re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_named_files_and_recipes_exist() -> None:
    for module in re.findall(r"python -m (recipes\.\w+)", README):
        assert find_spec(module), module
    for path in re.findall(r"^\| `([\w/.]+)` \|", README, re.MULTILINE):
        if "/" in path or "." in path:
            assert (ROOT / path).exists(), path
