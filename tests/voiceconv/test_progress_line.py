"""The line that says how far a conversion is."""

from __future__ import annotations

import pytest

from voiceconv.progress_line import ProgressLine


def test_the_terminal_says_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = ProgressLine()
    line(60.0, 0.0)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    line(3723.0, 0.0)
    line(3723.0, 3723.0)
    assert capsys.readouterr().err == "\r1:02:03 read\x1b[K\r\x1b[K"
