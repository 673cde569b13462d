"""Renames and deletes the user's own voices; those that came with the program stay."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from voiceconv.errors import UserError
from voiceconv.user_data import NAME_RULE, is_name, normalised, voices_folder
from voiceconv.voice.voice import RECORD, VOICES, available_voices, read_record
from voiceconv.weights import write_record


def rename_voice(name: str, new_name: str) -> None:
    """Raises `UserError` if `name` is none of the user's own voices, or `new_name` is taken or no name."""
    folder, new_name = _own(name), normalised(new_name)
    if new_name == name:
        return
    if new_name.casefold() != name.casefold():
        require_free_name(new_name)
    write_record(folder / RECORD, {**read_record(folder / RECORD), "name": new_name})
    folder.rename(folder.with_name(new_name))


def delete_voice(name: str) -> None:
    """Deletes a voice with everything in it. Raises `UserError` if it is none of the user's own."""
    folder = _own(name)
    # Out of the list at once, also where deleting it takes a while or fails half way.
    with tempfile.TemporaryDirectory(prefix=".deleting-", dir=voices_folder(), ignore_cleanup_errors=True) as bin_:
        shutil.move(folder, Path(bin_) / "voice")


def require_free_name(name: str) -> None:
    """Raises `UserError` unless a new voice can have this name."""
    if not is_name(name):
        raise UserError(f"A voice cannot be called {name!r}: {NAME_RULE}.")
    if name.casefold() in {known.casefold() for known in available_voices()} or (VOICES / name).exists():
        raise UserError(f"There already is a voice {name!r}. Give this one another name.")


def _own(name: str) -> Path:
    if name not in available_voices():
        raise UserError(f"There is no voice {name!r}. There are: {', '.join(available_voices())}.")
    folder = voices_folder() / name
    if not (folder / RECORD).is_file() or (VOICES / name / RECORD).is_file():
        raise UserError(f"{name} came with the program and stays as it is.")
    return folder
