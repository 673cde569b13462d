"""The report of a run shows what its folder holds, and does without what is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from voiceconv.audio.files import save_audio
from voiceconv.training.report import draw_mels, write_run_report


def test_a_damaged_picture_of_a_preview_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"preset": "smoke"}, "versions": {}}))
    preview = tmp_path / "previews" / "step_00000001"
    preview.mkdir(parents=True)
    for number in (1, 2):
        save_audio(preview / f"a-to-b-{number}.flac", np.full(1000, 0.1), 22050)
        draw_mels({"a": np.zeros((80, 5))}).savefig(preview / f"a-to-b-{number}.png")
    whole = (preview / "a-to-b-1.png").read_bytes()
    for damaged in (whole[:100], b"no picture", b""):
        (preview / "a-to-b-1.png").write_bytes(damaged)
        write_run_report(tmp_path, {}, "Last preview")
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert page.count("<audio") == 2
        assert page.count('role="img"') == 1


def test_damaged_logs_and_settings_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"preset": "smoke"}, "versions": 3}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "seconds": 60, "generator/total": 2}\n{"step": 2}\n[]\n')
    (tmp_path / "scores.jsonl").write_bytes(b'{"step": 1, "a-to-b/voice": 0.5}\n\xff\n')
    write_run_report(tmp_path, {"voice": "how near"}, "Last preview")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 steps in 1 minutes" in page
    assert "voice: how near" in page
