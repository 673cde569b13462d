"""What a folder says of its speaker, however it was saved."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from voiceconv.voice.speaker_info import SpeakerInfo


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_does_not_matter(tmp_path: Path, encoding: str) -> None:
    """Windows' own editor writes one."""
    (tmp_path / "speaker.json").write_text(json.dumps({"name": "ann", "licence": "CC0"}), encoding=encoding)
    assert SpeakerInfo.of_folder(tmp_path) == SpeakerInfo("ann", licence="CC0")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["José", "Zoë", "தமிழ்"])
def test_a_name_is_one_however_it_is_written(tmp_path: Path, name: str, form: str) -> None:
    folder = tmp_path / unicodedata.normalize(form, name)
    folder.mkdir()
    info = SpeakerInfo.of_folder(folder)
    info.require_name()
    assert info.name == name
    (folder / "speaker.json").write_text(json.dumps({"name": unicodedata.normalize(form, name)}))
    assert SpeakerInfo.of_folder(folder).name == name
