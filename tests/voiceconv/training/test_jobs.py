"""Trainings in processes of their own: paused, resumed, killed and found again, from the run folder alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for
from voiceconv.__main__ import main
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import OtherRun, UserError
from voiceconv.locks import is_locked, try_lock
from voiceconv.training import jobs
from voiceconv.training.jobs import Job, Plan, Status, add_recordings, all_jobs, find_job, new_draft
from voiceconv.training.train import train
from voiceconv.voice.voice import available_voices


@pytest.fixture
def job(two_speakers: tuple[Path, Path]) -> Job:
    draft = new_draft()
    for speaker, folder in zip(("high", "low"), two_speakers, strict=True):
        add_recordings(draft, speaker, sorted(folder.glob("*.wav")), licence="CC0")
    return Job.create(draft, Plan("high-low", ("high", "low"), preset="smoke", consent="2026-01-01"))


def state(job: Job) -> str:
    return Job(job.folder).status().state


def test_drafts_and_names(two_speakers: tuple[Path, Path], tmp_path: Path, home: Path) -> None:
    draft = new_draft()
    with pytest.raises(UserError, match=r"cannot be called '\.\./high'"):
        add_recordings(draft, "../high", [])
    (tmp_path / "same").mkdir()
    twin = Path(shutil.copy(two_speakers[1] / "00.wav", tmp_path / "same" / "00.wav"))
    folder = add_recordings(draft, "high", [two_speakers[0] / "00.wav", twin], credits="nobody")
    assert sorted(path.name for path in folder.glob("*.wav")) == ["00.wav", "0001-00.wav"]
    assert json.loads((folder / "speaker.json").read_text())["credits"] == "nobody"
    with pytest.raises(UserError, match="Both speakers are called 'high'"):
        add_recordings(draft, "high", [])
    assert all_jobs() == []
    with pytest.raises(UserError, match="cannot be called"):
        Job.create(draft, Plan("../x", ("high", "low")))
    job = Job.create(draft, Plan("mine", ("high", "low"), budget_seconds=60.0))
    assert job.folder == home / "runs" / "mine"
    assert find_job("mine").plan == job.plan
    assert job.status() == Status("ready", 0, None, 0.0)
    with pytest.raises(UserError, match="already is a training 'mine'"):
        Job.create(new_draft(), Plan("mine", ("a", "b")))
    with pytest.raises(UserError, match="no training 'other'"):
        find_job("other")
    with pytest.raises(UserError, match="is not running"):
        job.pause()
    assert len(list((home / "runs").glob(".draft-*"))) == 1
    jobs.remove_drafts(0.0)
    assert [path.name for path in (home / "runs").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("ended", "wanted", "expected"),
    [
        ("running", "run", "interrupted"),
        ("stopped", "pause", "paused"),
        ("stopped", "stop", "stopped"),
        ("stopped", "run", "paused"),
        ("finished", "run", "finished"),
        ("failed", "run", "failed"),
    ],
)
def test_the_state_is_read_from_the_folder(job: Job, ended: str, wanted: str, expected: str) -> None:
    (job.folder / "state.json").write_text(json.dumps({"state": ended, "pid": 1, "reason": "why"}))
    (job.folder / "wanted").write_text(wanted)
    (job.folder / "config.json").write_text(json.dumps({"settings": {"steps": 100}}))
    (job.folder / "metrics.jsonl").write_text('{"step": 50, "seconds": 9.5}\n{"step": 1')
    step = 100 if expected == "finished" else 50
    assert job.status() == Status(expected, step, 100, 9.5, "why")  # type: ignore[arg-type]
    with try_lock(job.folder / ".training.lock"):  # type: ignore[union-attr]
        assert state(job) == ("running" if wanted == "run" else "stopping")


def test_what_is_damaged_in_a_run_folder_is_no_training_or_has_no_state(job: Job) -> None:
    """A run folder may come from anywhere: nothing outside it is named by it, and no other process is told to end."""
    plan = json.loads((job.folder / "job.json").read_text())
    odd: list[object] = [{"speakers": ["../high", "low"]}, {"speakers": ["high"]}, {"speakers": [1, 2]}, {"preset": 3}]
    odd += [{"budget_seconds": "x"}, {"budget_seconds": -1}, {"budget_seconds": float("nan")}, {"more": 1}]
    for change in odd:
        (job.folder / "job.json").write_text(json.dumps(plan | change))  # type: ignore[operator]
        with pytest.raises(UserError, match="There is no training in"):
            Job(job.folder)
    (job.folder / "job.json").write_text("[" * 100_000)
    assert all_jobs() == []
    (job.folder / "job.json").write_text(json.dumps(plan))

    for settings in (3, [], {"steps": "x"}, {"steps": 0}, {"steps": None}):
        (job.folder / "config.json").write_text(json.dumps({"settings": settings}))
        (job.folder / "metrics.jsonl").write_text('{"step": 50, "seconds": 9.5}\n{"step": 60}\n')
        assert job.status() == Status("ready", 50, None, 9.5)
    (job.folder / "wanted").write_bytes(b"\xff")
    for pid in (-1, 0, 1, 2**40, "7", None):
        (job.folder / "state.json").write_text(json.dumps({"state": "running", "pid": pid}))
        with try_lock(job.folder / ".training.lock"), pytest.raises(UserError, match="is not running"):  # type: ignore[union-attr]
            job.pause()
    (job.folder / "published").write_bytes(b"\xffname")
    assert job.publish() == "\ufffdname"
    for name in ("step_00000002", "step_00000010", "step_x", "copy of step_00000010"):
        (job.folder / "previews" / name).mkdir(parents=True)
    (job.folder / "previews" / "step_00000099").touch()
    assert [path.name for path in job.previews()] == ["step_00000002", "step_00000010"]


def test_a_training_that_is_deleted_while_it_is_listed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanishing(folder: Path) -> Job:
        shutil.rmtree(folder)
        return Job(folder)

    monkeypatch.setattr(jobs, "Job", vanishing)
    assert all_jobs() == []


def test_a_command_that_is_refused_leaves_the_run_as_it_ended(tmp_path: Path) -> None:
    def refuse() -> bool:
        raise OtherRun("already holds a run")

    def fail() -> bool:
        raise UserError("the voice to begin with is missing")

    def how_it_ended() -> str:
        return str(json.loads((tmp_path / "state.json").read_text())["state"])

    with pytest.raises(UserError, match="already holds"):
        jobs.at_work_on(tmp_path, refuse)
    assert how_it_ended() == "failed", "somebody who looks only at the folder must learn why"
    assert not jobs.at_work_on(tmp_path, lambda: False)
    with pytest.raises(UserError, match="already holds"):
        jobs.at_work_on(tmp_path, refuse)
    assert how_it_ended() == "stopped"
    with pytest.raises(UserError, match="is missing"):
        jobs.at_work_on(tmp_path, fail)
    assert how_it_ended() == "failed", "gone on with, and then it failed"
    assert jobs.at_work_on(tmp_path, lambda: True)
    for wrong in (refuse, fail):
        with pytest.raises(UserError):
            jobs.at_work_on(tmp_path, wrong)
        assert how_it_ended() == "finished"


def test_one_training_at_a_time_in_a_folder(
    two_speakers: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ["train", *two_speakers], ["train-vocoder", *two_speakers]
    with try_lock(tmp_path / ".training.lock"):  # type: ignore[union-attr]
        for command in commands:
            assert main([*map(str, command), "--run", str(tmp_path), "--preset", "smoke"]) == 2
            assert "is being trained by another process" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".training.lock"]


def test_settings_of_something_else_are_not_replaced(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    for content in ('{"architectures": ["Other"]}', '{"settings": []}', "not json", "[]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match=r"config.json was not written by a training of this program"):
            train(*two_speakers, tmp_path, preset="smoke")
        assert (tmp_path / "config.json").read_text() == content


@pytest.mark.slow
def test_killed_paused_resumed_and_published(job: Job) -> None:
    """The smoke preset's judge takes some seconds, in which it can be killed; its few steps end the training."""
    job.start()
    wait_for(lambda: is_locked(job.folder / ".training.lock") and (job.folder / "state.json").is_file())
    assert state(job) == "running"
    with pytest.raises(UserError, match="already running"):
        job.start()
    pid = json.loads((job.folder / "state.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state(job) == "interrupted")

    # Another process resumes it, as a server does after a restart, and ends; the training goes on without it.
    code = "import sys\nfrom voiceconv.training.jobs import find_job\nfind_job('high-low').start()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    wait_for(lambda: is_locked(job.folder / ".training.lock") and (job.folder / "state.json").is_file())
    assert state(job) == "running"
    job.pause()
    wait_for(lambda: state(job) == "paused")
    assert job.publish() is None

    job.start()
    wait_for(lambda: state(job) not in ("running", "stopping"))
    assert job.status() == Status("finished", 20, 20, job.status().seconds), (job.folder / "log.txt").read_text()
    assert "Traceback" not in (job.folder / "log.txt").read_text()
    assert job.previews()
    assert job.publish() == "high-low"
    assert job.publish() == "high-low"
    assert available_voices()[-1] == "high-low"
    converter = VoiceConverter.from_pretrained("high-low", vocoder="griffin-lim")
    assert converter.voice.speakers[0].licence == "CC0"
    assert set(converter.voice.examples) == {"high", "low"}


@pytest.mark.slow
def test_why_a_training_failed_is_kept(job: Job) -> None:
    for path in sorted(job.recordings("low").glob("*.wav"))[2:]:
        path.unlink()
    job.start()
    wait_for(lambda: state(job) == "failed")
    assert "usable speech" in job.status().reason
    job.stop()
    assert state(job) == "failed"
