"""The measurements of robustness: cases can be made again, nothing is found here, and something would be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import fuzz, kill
from benchmarks.fuzz_cases import audio_case, mutate, mutate_json, recordings, voice_case


def test_cases_are_made_from_their_number_alone(tiny_voice: Path) -> None:
    assert audio_case(7) == audio_case(7)
    assert voice_case(7, str(tiny_voice)) == voice_case(7, str(tiny_voice))
    assert len({audio_case(number)[1] for number in range(50)}) > 45
    assert {audio_case(number)[0] for number in range(0, 300, 3)} == set(recordings())


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
    config = fuzz.Config(audio=12, voices=8, model=str(tiny_voice), out=tmp_path / "findings")
    assert fuzz.main(config) == 0, capsys.readouterr().out
    assert not (tmp_path / "findings").exists()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith(("| a", "| v"))]
    counts = {row[0].strip(): [int(cell) for cell in row[1:]] for row in rows}
    total = {"audio, mutated": 4, "audio, odd": 8, "voice, mutated": 3, "voice, odd": 5}
    assert {name: sum(row) for name, row in counts.items()} == total
    assert counts["audio, odd"][0] > 0
    assert counts["voice, odd"][0] > 0, "nothing gets as far as being converted"


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
