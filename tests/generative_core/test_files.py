"""Logs and files stay whole whatever interrupts their writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from generative_core.files import UNFINISHED, drop_rows_after, open_atomically, read_rows


def test_rows_are_dropped_from_a_log_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')

    def pulled_plug(*_: object) -> None:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", pulled_plug)
        with pytest.raises(OSError, match="no power"):
            drop_rows_after(log, 2)
    assert [row["step"] for row in read_rows(log)] == [1, 2, 3]
    assert [row["step"] for row in drop_rows_after(log, 2)] == [1, 2]
    assert log.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_damaged_rows_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "scores.jsonl"
    damaged = [
        b"\xff\xfe\n",
        b"[1]\n",
        b"3\n",
        b"\n",
        b'{"step": "x"}\n',
        b'{"score": 1}\n',
        b'{"step": 3, "score": []}\n',
    ]
    log.write_bytes(b'{"step": 1}\n' + b"".join(damaged) + b"[" * 100_000 + b'\n{"step": 2, "score": 0.5}\n{"step": 4}')
    assert read_rows(log) == [{"step": 1}, {"step": 2, "score": 0.5}]
    assert read_rows(log, "score") == [{"step": 2, "score": 0.5}]
    assert drop_rows_after(log, 1, "score") == []
    log.unlink()
    log.mkdir()
    assert read_rows(log) == []


def test_what_is_unfinished_is_found_by_its_name_and_nothing_else_is(tmp_path: Path) -> None:
    for name in ("song.mp3.part", ".upload.part", ".0123456789abcdeg.part"):
        (tmp_path / name).touch()
    with open_atomically(tmp_path / "x.wav"):
        assert len(list(tmp_path.glob(UNFINISHED))) == 1
    assert not list(tmp_path.glob(UNFINISHED))
    assert len(list(tmp_path.iterdir())) == 4
