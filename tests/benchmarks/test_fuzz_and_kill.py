"""The measurements of robustness: cases can be made again, nothing is found here, and something would be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import fuzz, kill
from benchmarks.fuzzing.mutations import mutate, mutate_json
from benchmarks.fuzzing.recordings import recordings
from benchmarks.fuzzing.trials import KINDS, inputs


def test_cases_are_made_from_their_number_alone(tiny_voice: Path) -> None:
    for kind in KINDS:
        assert inputs(kind, 7, str(tiny_voice)) == inputs(kind, 7, str(tiny_voice))
        assert len({str(inputs(kind, number, str(tiny_voice))) for number in range(1, 41, 3)}) > 12
    assert {next(iter(inputs("audio", number, ""))) for number in range(0, 300, 3)} == set(recordings())


def test_mutations_change_something_and_end() -> None:
    content = bytes(range(256)) * 4
    changed = [mutate(content, random.Random(seed), b"other" * 100) for seed in range(200)]
    assert sum(each != content for each in changed) > 180
    assert mutate(b"", random.Random(0), b"x") == b""
    record = {"a": 1, "b": [1, {"c": 2.5}]}
    assert sum(mutate_json(record, random.Random(seed)) != record for seed in range(100)) > 80
    assert record == {"a": 1, "b": [1, {"c": 2.5}]}


@pytest.mark.slow
def test_a_few_cases(tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = fuzz.Config(
        audio=12, voices=8, pictures=12, names=6, environments=1, model=str(tiny_voice), out=tmp_path / "findings"
    )
    assert fuzz.main(config) == 0, capsys.readouterr().out
    assert not (tmp_path / "findings").exists()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    counts = {row[0].strip(): [int(cell) for cell in row[1:]] for row in rows}
    total = {"audio, damaged": 4, "audio, odd": 8, "voice, damaged": 3, "voice, odd": 5}
    total |= {"picture, damaged": 4, "picture, odd": 8, "names": 6, "environment": 1}
    assert {name: sum(row) for name, row in counts.items()} == total
    for name in ("audio, odd", "voice, odd", "picture, odd", "names"):
        assert counts[name][0] > 0, f"nothing of {name} gets as far as having a result"


def test_a_finding_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["done", "fault: KeyError: 'x'", "refused: it is empty"])
    monkeypatch.setattr(fuzz.Worker, "_start", lambda self: None)
    monkeypatch.setattr(fuzz.Worker, "run", lambda self, kind, number, limit: next(answers))
    monkeypatch.setattr(fuzz.Worker, "close", lambda self: None)
    assert fuzz.main(fuzz.Config(names=3, first=5, out=tmp_path)) == 1
    assert "names 6: fault: KeyError: 'x'" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["names-6-names.json"]


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"source": "a.wav", "output": "a.wav", "status": "done"}\n{"sour')
    kill.soundfile.write(tmp_path / "a.wav", kill.buzz(150.0, 0.5), kill.RATE)
    kill.require_whole(tmp_path, {"a.wav": 0.5})
    with pytest.raises(kill.Finding, match="not as long"):
        kill.require_whole(tmp_path, {"a.wav": 0.6})


@pytest.mark.slow
def test_a_few_kills(tiny_voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kill.main(kill.Config(rounds=2, kinds=("saving",), model=str(tiny_voice))) == 0
    assert "saving: 2 kills, nothing lost" in capsys.readouterr().out
