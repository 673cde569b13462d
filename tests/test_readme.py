"""The README's code works as it stands: every Python and shell snippet runs, on a tiny voice and the smoke preset."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from voiceconv.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(
    tiny_voice: Path,
    two_speakers: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    brief_training: None,
) -> Path:
    """A working folder like a clone with two speakers' recordings in it; the shipped voice is the tiny one."""
    shutil.copytree(tiny_voice, tmp_path / "voices" / "allison-joe")
    monkeypatch.setattr("voiceconv.voice.voice.VOICES", tmp_path / "voices")
    for name, folder in zip(("alice", "bob"), two_speakers, strict=True):
        shutil.copytree(folder, tmp_path / name)
    shutil.copy(two_speakers[0] / "00.wav", tmp_path / "in.wav")
    (tmp_path / "docs" / "audio").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "audio" / "allison.mp3", tmp_path / "docs" / "audio")
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
    assert {words[0] for words in commands} == {"convert", "live", "inspect", "train"}
    for words in commands:
        if words[0] == "train":
            words = [*words, "--preset", "smoke", "--budget", "0.01s"]
        assert main(words) == 0, (words, capsys.readouterr().err)
    for written in ("as-joe.wav", "converted/allison.wav", "live.wav", "as-bob.wav"):
        assert (desk / written).is_file(), written


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = {"".join(found) for found in re.findall(r"^make (\w+)|`make (\w+)`", README, re.MULTILINE)}
    assert names == {"demo", "test", "docs"}
    for name in names:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
