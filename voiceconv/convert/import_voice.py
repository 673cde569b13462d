"""Adds a voice to the user's own from a `.voice` file or a folder, once it has been checked and tried."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.user_data import normalised, voices_folder
from voiceconv.vocoder.griffin_lim import GriffinLim
from voiceconv.voice.archive import read_archive, require_short
from voiceconv.voice.own_voices import require_free_name
from voiceconv.voice.voice import RECORD, Voice, read_record
from voiceconv.weights import write_record


def import_voice(path: Path, name: str | None = None) -> str:
    """Adds the voice in a file to the user's own, under its own name or `name`; the name.

    Raises `UserError` that says what is wrong with the file, or that the name is taken. What is refused leaves nothing.
    """
    voices_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".importing-", dir=voices_folder()) as unpacked:
        folder = Path(unpacked) / "voice"
        for entry, content in read_archive(path).items():
            (folder / entry).parent.mkdir(parents=True, exist_ok=True)
            (folder / entry).write_bytes(content)
        return add_voice(folder, name, called=path.name)


def add_voice(folder: Path, name: str | None = None, *, called: str | None = None) -> str:
    """Adds a voice folder to the user's own voices, by moving it there after it has been checked; the name.

    Messages name it as `called`, the folder itself if None.
    """
    called = called or str(folder)
    try:
        voice = Voice.load(folder)
        _require_conversion(voice)
        for clips in voice.examples.values():
            for clip in clips:
                require_short(clip)
    except UserError as error:
        # The folder is a temporary one, of which the user knows nothing.
        reason = str(error).replace(f"{folder}/", "").replace(str(folder), "it")
        raise UserError(f"{called} is refused: {reason}") from error
    name = normalised(name or voice.name)
    require_free_name(name)
    write_record(folder / RECORD, {**read_record(folder / RECORD), "name": name})
    voices_folder().mkdir(parents=True, exist_ok=True)
    shutil.move(folder, voices_folder() / name)
    return name


def _require_conversion(voice: Voice) -> None:
    """Raises `UserError` unless both directions turn a second of sound into another."""
    time = np.arange(voice.mel.sample_rate) / voice.mel.sample_rate
    wav = (0.2 * np.sin(2 * np.pi * 150 * time) * np.sin(np.pi * time)).astype(np.float32)
    try:
        converter = VoiceConverter(voice, GriffinLim(voice.mel), torch.device("cpu"))
        for name in voice.names:
            converter.convert(wav, name)
    except UserError:
        raise
    except (RuntimeError, ValueError, AssertionError, FloatingPointError) as error:
        raise UserError(f"its networks cannot convert a second of sound ({error}). Train it again.") from error
