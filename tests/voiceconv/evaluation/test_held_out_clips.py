from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.evaluation.held_out_clips import Folder, held_out, load_split, read_clips

SECONDS = (1.0, 3.0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Clips a to f of 0.5, 1.0 ... 3.0 seconds, of which a to d have a transcript."""
    path = tmp_path_factory.mktemp("recordings") / "alice"
    (path / "wavs").mkdir(parents=True)
    for number, name in enumerate("abcdef", 1):
        save_audio(path / "wavs" / f"{name}.flac", hum(200.0, number / 2), SAMPLE_RATE)
    lines = ["a|One, two.|0.5", 'b|She said "no"|1', "c|Third", "d|...|2.0"]
    (path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return Folder(path, "en")


def read(folder: Folder, count: int = 9, names: list[str] | None = None) -> dict[str, str | None]:
    return {clip.name: clip.text for clip in read_clips(folder, names, SECONDS, count, SAMPLE_RATE)}


def test_clips_of_the_right_length_with_their_words(recordings: Folder) -> None:
    assert read(recordings) == {
        "wavs/b.flac": 'She said "no"',
        "wavs/c.flac": "Third",
        "wavs/d.flac": None,  # dots are no words
        "wavs/e.flac": None,
        "wavs/f.flac": None,
    }
    (first, *_) = read_clips(recordings, None, SECONDS, 9, SAMPLE_RATE)
    assert first.wav.shape == (SAMPLE_RATE,)


def test_few_clips_are_spread_evenly_and_only_the_named_are_taken(recordings: Folder) -> None:
    assert list(read(recordings, 3)) == ["wavs/b.flac", "wavs/d.flac", "wavs/f.flac"]
    named = ["wavs/f.flac", "wavs/a.flac", "wavs/c.flac"]
    assert list(read(recordings, 9, named)) == ["wavs/c.flac", "wavs/f.flac"]


def test_too_few_clips_say_what_there_is(recordings: Folder) -> None:
    with pytest.raises(UserError, match=r"Of the 6 clips .* 0\.5 to 3\.0 s long, 0 are between 4 and 9 s.*--seconds"):
        read_clips(recordings, None, (4, 9), 9, SAMPLE_RATE)


def test_what_is_too_short_to_convert_is_no_clip(tmp_path: Path) -> None:
    for name, seconds in (("breath.wav", 0.01), ("one.wav", 0.25), ("two.wav", 1.5)):
        save_audio(tmp_path / name, hum(200.0, seconds), SAMPLE_RATE)
    assert [clip.name for clip in read_clips(Folder(tmp_path, None), None, (0.001, 9), 9, SAMPLE_RATE)] == [
        "one.wav",
        "two.wav",
    ]


def test_broken_recordings_are_left_out_with_a_warning(recordings: Folder, tmp_path: Path) -> None:
    for name in ("one.wav", "two.wav"):
        save_audio(tmp_path / name, hum(200.0, 1.5), SAMPLE_RATE)
    (tmp_path / "broken.wav").write_text("no sound")
    with pytest.warns(UserWarning, match=r"left out: .*broken\.wav"):
        assert read(Folder(tmp_path, None)) == {"one.wav": None, "two.wav": None}


def test_the_speaker_is_the_one_whose_held_out_clips_are_there(recordings: Folder) -> None:
    split = {"bob": ["wavs/z.flac", "elsewhere.wav"], "alice": ["wavs/b.flac", "wavs/z.flac", "wavs/c.flac"]}
    assert held_out(recordings, split) == ("alice", ["wavs/b.flac", "wavs/c.flac"])
    with pytest.raises(UserError, match=r"kept from training with carol or bob .*--all-clips"):
        held_out(recordings, {"carol": ["x.wav"], "bob": []})


def test_the_folders_name_tells_recordings_of_the_same_names_apart(recordings: Folder) -> None:
    split = {"bob": ["wavs/b.flac", "wavs/c.flac", "wavs/d.flac"], "alice": ["wavs/a.flac", "wavs/c.flac"]}
    assert held_out(recordings, split) == ("alice", ["wavs/a.flac", "wavs/c.flac"])


def test_transcripts_as_spreadsheets_write_them(tmp_path: Path) -> None:
    lines = tmp_path / "metadata.csv"
    lines.write_text("one.wav|Uno|1\nv1.2|Zwei\n", encoding="utf-8-sig")
    assert Folder(tmp_path, None).texts() == {"one": "Uno", "v1.2": "Zwei"}
    for content in ("è|è".encode("latin-1"), "a|b".encode("utf-16"), b"a|" + 200_000 * b"b"):
        lines.write_bytes(content)
        with pytest.raises(UserError, match=r"metadata.csv cannot be read as lines `clip\|text` in UTF-8"):
            Folder(tmp_path, None).texts()


def test_the_same_sentence_is_found_in_other_words(recordings: Folder) -> None:
    found = recordings.same_sentences(["1, 2", "third!", None, "another"])
    assert {text: path.name for text, path in found.items()} == {"1, 2": "a.flac", "third!": "c.flac"}
    assert Folder(recordings.path / "wavs", None).same_sentences(["third"]) == {}


def test_split_from_the_voice_or_from_a_file(tmp_path: Path) -> None:
    assert load_split(None, {"development": {"a": ["x"]}}, "voice") == {"a": ["x"]}
    for metadata in ({}, {"development": {"a": [], "b": []}}):
        with pytest.raises(UserError, match="voice names no recordings that were kept"):
            load_split(None, metadata, "voice")
    path = tmp_path / "clips.json"
    path.write_text(json.dumps({"a": ["y"]}))
    assert load_split(path, {"development": {"a": ["x"]}}, "voice") == {"a": ["y"]}
    path.write_text(json.dumps({"a": ["y", "x", "y"]}))
    assert load_split(path, {}, "voice") == {"a": ["y", "x"]}  # each is heard once
    lists = "one list per speaker"
    wrong = {"{": "cannot be read", "[1]": lists, "{}": lists, '{"a": [["x"]]}': lists, 9999 * "[": "cannot be read"}
    for content, words in wrong.items():
        path.write_text(content)
        with pytest.raises(UserError, match=words):
            load_split(path, {}, "voice")
