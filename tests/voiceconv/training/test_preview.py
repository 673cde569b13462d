"""Which voice a training keeps, and when it gives up."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.training.dataset import SpeakerData, prepare_speaker
from voiceconv.training.pair import Pair, Side
from voiceconv.training.preview import PeriodicPreview, Preview
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import Voice, build_generator, build_speaker_classifier

SIZE = {"kind": "convnext", "bands": 80, "planes": 1, "channels": 80, "blocks": 1}


class Run(SimpleNamespace):
    """As much of a trainer as a preview looks at."""

    def __init__(self, folder: Path) -> None:
        super().__init__(run_dir=folder, step=0, device=torch.device("cpu"), stop_reason=None)
        self.averaged_weights = nullcontext

    def stop(self, reason: str) -> None:
        self.stop_reason = reason


def spoken_by(generator: nn.Module, strength: float) -> None:
    """Makes a generator deaf: an even hiss of some strength, whatever comes in."""
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.zero_()
        generator.leave.bias.copy_(torch.linspace(-strength, strength, 80))


class SlowPreview(PeriodicPreview):
    """Takes `seconds` of a clock that only moves by hand."""

    def __init__(self, clock: SimpleNamespace, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def show(self, trainer: object, folder: Path) -> dict[str, float]:
        self.clock.now += self.seconds
        return {"score": 0.0}


@pytest.mark.parametrize(("seconds", "expected"), [(60.0, 97), (600.0, 15)])
def test_previews_come_every_five_minutes_and_take_a_quarter_of_the_time_at_most(
    seconds: float, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("voiceconv.training.preview.time.monotonic", lambda: clock.now)
    run, preview = Run(tmp_path), SlowPreview(clock, seconds)
    preview.on_start(run)
    trained = 0.0
    while clock.now < 36_000:
        clock.now += 10.0
        trained += 10.0
        run.step += 1
        preview.on_step(run, {})
    assert len(preview.rows) == expected
    assert trained >= 0.74 * clock.now


@pytest.mark.slow
def test_the_best_voice_is_kept_and_a_collapse_stops_the_run(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    data = tuple(
        prepare_speaker(folder, tmp_path / f"{folder.name}.safetensors", MelConfig()) for folder in two_speakers
    )
    speakers = tuple(speaker(name, d) for name, d in zip(("high", "low"), data, strict=True))
    torch.manual_seed(0)
    generators = build_generator(SIZE), build_generator(SIZE)
    run = Run(tmp_path / "run")
    run.run_dir.mkdir()

    def current(step: int) -> Voice:
        steps = {"training": {"steps": step}}
        return Voice(
            "high-low", speakers, MelConfig(), SIZE, "mel", *generators, build_speaker_classifier(), metadata=steps
        )

    def kept() -> int:
        return json.loads((run.run_dir / "voice" / "voice.json").read_text())["training"]["steps"]

    sides = (Side(d, [d.mels[name] for name in d.train], who) for d, who in zip(data, speakers, strict=True))
    pair = Pair(*sides)
    preview = Preview(current, pair, MelSpectrogram(), two_sample_test_steps=5)
    preview.on_start(run)
    for step, strength in ((1, 4.0), (2, 0.0), (3, 40.0)):
        run.step = step
        for generator in generators:
            spoken_by(generator, strength)
        preview.preview(run)
        assert kept() == min(step, 2)  # a flat spectrum is nearer to either speaker than a steep one
    assert run.stop_reason is None  # one bad score may be chance
    run.step = 4
    preview.preview(run)
    assert kept() == 2
    assert "(step 2)" in run.stop_reason
    with (run.run_dir / "scores.jsonl").open("a") as file:
        file.write('{"step": 3, "two": 0.5}\n{"step": 4, "sco')  # damaged, and as if killed while writing
    again = Preview(current, pair, MelSpectrogram(), two_sample_test_steps=5)
    again.on_start(run)  # as after resuming
    assert [row["step"] for row in again.rows] == [1, 2, 3, 4, 3]
    again.preview(run)
    scores = [json.loads(line) for line in (run.run_dir / "scores.jsonl").read_text().splitlines()]
    assert scores[1]["score"] == max(score.get("score", -1.0) for score in scores)


def speaker(name: str, data: SpeakerData) -> Speaker:
    return Speaker(name, data.pitch, *data.mel_statistics(), *data.mel_statistics(), None)
