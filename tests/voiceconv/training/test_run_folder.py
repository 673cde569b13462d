"""A run folder is resumed as the same run only, and keeps what was prepared for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voiceconv.errors import OtherRun, UserError
from voiceconv.training.run_folder import RunFolder, find_preset

SETTINGS = {"seed": 0, "cyclegan": {"lambda_cycle": 2.0, "betas": (0.5, 0.9)}}


def begin(folder: Path) -> RunFolder:
    run = RunFolder(folder, SETTINGS, resume=False)
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f"step_00000001-{12 * '0'}.pt").touch()
    return run


def test_a_run_is_resumed_with_its_own_settings(tmp_path: Path) -> None:
    begin(tmp_path)
    RunFolder(tmp_path, SETTINGS, resume=True)
    with pytest.raises(OtherRun, match="already holds a run"):
        RunFolder(tmp_path, SETTINGS, resume=False)
    for changed, name in (
        ({**SETTINGS, "seed": 1}, "seed"),
        ({**SETTINGS, "cyclegan": {"lambda_cycle": 3.0, "betas": (0.5, 0.9)}}, "cyclegan.lambda_cycle"),
        ({**SETTINGS, "cyclegan": {"betas": (0.5, 0.9)}}, "cyclegan.lambda_cycle"),
        ({**SETTINGS, "steps": 5}, "steps"),
    ):
        with pytest.raises(OtherRun, match=rf"other settings \({name}\)"):
            RunFolder(tmp_path, changed, resume=True)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(OtherRun, match="not written by a training"):
        RunFolder(tmp_path, SETTINGS, resume=True)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(b"\xc6", "is damaged"), (b"", "is damaged"), (b"[]", "not those that"), (b"{}", "not those")],
)
def test_another_list_of_recordings_ends_in_words(tmp_path: Path, damage: bytes, reason: str) -> None:
    begin(tmp_path).record_split({"a": ["1"]})
    (tmp_path / "split.json").write_bytes(damage)
    with pytest.raises(OtherRun, match=reason):
        RunFolder(tmp_path, SETTINGS, resume=True).record_split({"a": ["1"]})


def test_what_was_prepared_is_kept_for_the_same_recordings(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, torch.Tensor]:
        calls.append(1)
        return {"a": torch.arange(3)}

    for split, expected in (({"a": ["1"]}, 1), ({"a": ["1"]}, 1), ({"a": ["2"]}, 2)):
        run = RunFolder(tmp_path, SETTINGS, resume=False)
        run.record_split(split)
        assert run.prepared("targets", compute)["a"].tolist() == [0, 1, 2]
        assert len(calls) == expected


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(UserError, match="'fast' is not one of cpu, gpu"):
        find_preset({"cpu": 1, "gpu": 2}, "fast")
