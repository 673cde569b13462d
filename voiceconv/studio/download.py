"""Saves a result as WAV, FLAC or MP3, with the note in its tags that it is synthetic."""

from __future__ import annotations

import shutil
from pathlib import Path

import soundfile

from voiceconv.errors import UserError

FORMATS = {"WAV": ("WAV", "PCM_16"), "FLAC": ("FLAC", "PCM_16"), "MP3": ("MP3", "MPEG_LAYER_III")}
BLOCK = 2**20  # samples; libsndfile has crashed on minutes of compressed sound at once


def save_as(result: Path, format_: str, output: Path) -> Path:
    """The file `output` with the format's extension; raises `UserError` for an unknown format."""
    if format_ not in FORMATS:
        raise UserError(f"The format is one of {', '.join(FORMATS)}, not {format_!r}.")
    output = output.with_name(f"{output.name}.{format_.lower()}")
    if format_ == "WAV":
        shutil.copy(result, output)
        return output
    name, subtype = FORMATS[format_]
    with (
        soundfile.SoundFile(result) as source,
        soundfile.SoundFile(output, "w", source.samplerate, 1, subtype, format=name) as sink,
    ):
        sink.comment = source.comment
        for block in source.blocks(BLOCK, dtype="float32"):
            sink.write(block)
    return output
