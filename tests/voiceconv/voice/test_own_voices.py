"""Renaming and deleting touch the user's own voices and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voiceconv.cli.main import main
from voiceconv.errors import UserError
from voiceconv.voice.own_voices import delete_voice, rename_voice
from voiceconv.voice.voice import Voice, available_voices


@pytest.fixture
def own(home: Path, tiny_voice: Path) -> Path:
    return Path(shutil.copytree(tiny_voice, home / "voices" / "mine"))


def test_a_voice_of_ones_own_is_renamed_and_deleted(own: Path) -> None:
    rename_voice("mine", "Mine")  # the same to some file systems
    assert main(["voices", "rename", "Mine", "better"]) == 0
    assert Voice.load("better").name == "better"
    assert not own.exists()
    assert main(["voices", "delete", "better"]) == 0
    assert "better" not in available_voices()
    assert list(own.parent.iterdir()) == []


@pytest.mark.parametrize(("name", "new"), [("mine", "allison-joe"), ("mine", "../out"), ("nobody", "x"), ("mine", "")])
def test_no_other_name_is_accepted(own: Path, name: str, new: str) -> None:
    with pytest.raises(UserError):
        rename_voice(name, new)
    assert Voice.load("mine").folder == own


def test_what_came_with_the_program_stays(own: Path) -> None:
    for change in (
        lambda: delete_voice("allison-joe"),
        lambda: rename_voice("allison-joe", "x"),
        lambda: delete_voice(".."),
    ):
        with pytest.raises(UserError):
            change()
    assert {"allison-joe", "mine"} <= set(available_voices())
