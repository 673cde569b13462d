"""A training without a terminal says now and then how far it is."""

from __future__ import annotations

import pytest

from voiceconv.training import progress


def test_steps_are_said_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)  # a line for each step
    assert list(progress.count_steps(3, "Preparing pairs")) == [0, 1, 2]
    assert capsys.readouterr().out.splitlines()[-1] == "Preparing pairs: step 2 of 3"
