"""No two recordings are converted into one file, on any file system."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from voiceconv.convert.outputs import result_names


@given(
    st.lists(
        st.sampled_from(["a.wav", "A.WAV", "a.mp3", "a.flac", "\u00e9.wav", "e\u0301.wav", "e\u0301.mp3"]), unique=True
    )
)
def test_names_that_some_file_system_takes_for_one_stay_apart(names: list[str]) -> None:
    results = result_names([PurePosixPath(name) for name in names])
    assert len({unicodedata.normalize("NFC", str(name)).casefold() for name in results}) == len(names)
