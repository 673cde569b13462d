"""Where a user's data lie, and names in any script, written in one way."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceconv.user_data import HOME, LONGEST_BYTES, LONGEST_NAME, home, is_name, normalised, shortened


def test_a_home_is_the_same_wherever_a_process_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trainings run in processes that stand elsewhere."""
    monkeypatch.setenv(HOME, "mine")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / "mine"


@pytest.mark.parametrize("name", ["सीता", "สมศรี", "தமிழ்", "José", "Jose\u0301", "Zoë B.", "_x", "李-小龙", "x" * 64])
def test_letters_of_every_script_make_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".x", "-x", " x", "../x", "a/b", "a\\b", "a:b", "a\n", "a\0", "\u0301a", "a\u202eb", "\ud800", "x" * 65],
)
def test_what_paths_and_terminals_might_misread_does_not(name: str) -> None:
    assert not is_name(name)


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_names_fit_into_file_names_and_stay_what_they_are(text: str) -> None:
    name = shortened(normalised(text))
    assert len(name) <= LONGEST_NAME
    assert len(name.encode(errors="replace")) <= LONGEST_BYTES
    assert text.startswith(name) or unicodedata.normalize("NFC", text).startswith(name)
    if is_name(name):
        assert not set(name) & set('/\\:*?"<>|\0')
