"""Makes stories of what happens to a user's trainings and voices: damage, copies, moves, two programs, a clock set
back, a voice deleted while it is used.

A story is a list of the names in `ACTIONS`. `History` plays it in a home of two trainings and two voices; one of each,
the bystander, must come out of every story as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.fuzzing.names import odd_name
from benchmarks.fuzzing.recordings import recordings
from benchmarks.fuzzing.run_folders import change_run
from generative_core.files import drop_rows_after
from generative_core.training.checkpoint import load_latest_checkpoint, save_checkpoint
from voiceconv import locks, user_data
from voiceconv.convert.import_voice import import_voice
from voiceconv.errors import UserError
from voiceconv.locks import try_lock
from voiceconv.studio.tabs.train_view import curves_html, previews_html, status_html
from voiceconv.training import jobs
from voiceconv.training.jobs import Job, Plan, add_recordings, all_jobs, at_work_on, find_job, new_draft
from voiceconv.training.run_folder import RunFolder
from voiceconv.user_data import runs_folder, voices_folder
from voiceconv.voice.archive import export_voice
from voiceconv.voice.own_voices import delete_voice, rename_voice
from voiceconv.voice.voice import Voice, available_voices

SETTINGS = {"preset": "smoke", "steps": 20, "cyclegan": {"lambda_cycle": 3.0}}
SPLIT = {"low": {"a.wav": [0, 1]}}
SPEAKERS = ("high", "low")
BYSTANDER = "bystander"
NAMES = ("mine", "mine 2", "other", BYSTANDER, "Bystander", "Jos\u00e9", "Jose\u0301", "CON")


def state_case(number: int) -> list[str]:
    return odd_story(random.Random(f"state {number}"))


def odd_story(chance: random.Random) -> list[str]:
    return chance.choices(sorted(ACTIONS), k=chance.randrange(2, 9))


def make_home(voice: Path) -> None:
    """Trainings and voices of the names "mine" and "bystander", the voices being copies of the folder `voice`.

    The trainings are as finished ones are, but nothing was trained.
    """
    for name in ("mine", BYSTANDER):
        draft = new_draft()
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "a.wav"
            sound.write_bytes(recordings()["a.wav"])
            for speaker in SPEAKERS:
                add_recordings(draft, speaker, [sound], licence="CC0")
        run = Job.create(draft, Plan(name, SPEAKERS, preset="smoke", consent="2026-01-01")).folder
        RunFolder(run, SETTINGS, resume=False).record_split(SPLIT)
        rows = [{"step": step, "seconds": step + 0.5, "generator/total": 1.5} for step in (10, 20)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (run / "scores.jsonl").write_text('{"step": 20, "score": 0.5, "high-to-low/voice": 0.5}\n')
        (run / "state.json").write_text('{"state": "finished", "pid": 4000000, "reason": ""}')
        (run / "wanted").write_text("run")
        save_checkpoint(run / "checkpoints", _checkpoint(20))
        preview = run / "previews" / "step_00000020"
        preview.mkdir(parents=True)
        (preview / "high-to-low.flac").write_bytes(recordings()["c.flac"])
        (preview / "high-to-low.png").write_bytes(b"no picture, but shown as one")
        shutil.copytree(voice, run / "voice")
        shutil.copytree(voice, voices_folder() / name)
        (voices_folder() / name / "README.md").write_text("# A card\n")


def _checkpoint(step: int) -> dict[str, Any]:
    empty: dict[str, Any] = {key: {} for key in ("config", "optimizers", "ema", "random", "loader", "versions")}
    return {"family": "CycleGAN", "step": step, "model": {"weight": torch.zeros(3)}, **empty}


class History:
    """A home in which things happen: `play` raises `AssertionError` for a broken promise; what was refused on the way
    is in `refusals`."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.refusals: list[Exception] = []
        self.around = contextlib.ExitStack()  # what lasts to the end of the story: locks, and other times
        self.signalled: list[int] = []

    def play(self, story: list[str]) -> None:
        before = _bystanders()
        self.around.enter_context(patch.object(locks, "PATIENCE", 0.01))
        self.around.enter_context(patch.object(locks, "LOOK", 0.005))
        self.around.enter_context(patch.object(os, "kill", lambda pid, _: self.signalled.append(pid)))
        self.around.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        with self.around:
            for action in story:
                self._refusable(ACTIONS[action])
            self._refusable(_every_training)
            names = [job.name for job in all_jobs()]
            assert BYSTANDER in names, "a training is gone from the list"
            assert BYSTANDER in available_voices(), "a voice is gone from the list"
            curves_html(find_job(BYSTANDER))
        assert _bystanders() == before, "what belongs to others was changed"
        assert all(1 < pid < 2**31 for pid in self.signalled), "what is no process was told to end"

    def _refusable(self, action: Callable[[History], Any]) -> None:
        try:
            action(self)
        except (UserError, OSError) as error:
            self.refusals.append(error)

    def run(self) -> Path:
        """Some run folder, not the bystander's."""
        found = sorted(path for path in runs_folder().iterdir() if path.name != BYSTANDER)
        if not found:
            raise UserError("there is no training")
        return self.chance.choice(found)

    def voice(self) -> str:
        """Some voice's name, of the user's own; perhaps one that there is not."""
        own = sorted(path.name for path in voices_folder().iterdir() if path.name != BYSTANDER)
        return self.chance.choice([*own, "gone"])

    def name(self) -> str:
        return self.chance.choice(NAMES) if self.chance.random() < 0.7 else odd_name(self.chance, "")


def _bystanders() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in (runs_folder() / BYSTANDER, voices_folder() / BYSTANDER)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _every_training(history: History) -> None:
    """What the page shows of each."""
    for job in all_jobs():
        status = job.status()
        status_html(job, status, job.name)
        curves_html(job)
        with contextlib.suppress(OSError):
            previews_html(job)


def _damage_run(history: History) -> None:
    change_run(history.run(), history.chance)


def _damage_voice(history: History) -> None:
    folder = voices_folder() / history.voice()
    if folder.is_dir():
        change_run(folder, history.chance)


def _copy_run(history: History) -> None:
    shutil.copytree(history.run(), runs_folder() / f"copy of {history.run().name}"[:200], symlinks=True)


def _move_run(history: History) -> None:
    target = runs_folder() / odd_name(history.chance, "")
    if not target.exists() and target.parent == runs_folder():
        history.run().rename(target)


def _set_clock(history: History) -> None:
    """The time of day jumps, and so does that of the files written from now on."""
    jump = history.chance.choice((-1e9, -3600.0, 3600.0, 1e9))
    now = time.time
    history.around.enter_context(patch.object(time, "time", lambda: now() + jump))
    for path in history.run().rglob("*.json"):
        if path.is_file():
            os.utime(path, (now() + jump, now() + jump))


def _begin_elsewhere(history: History) -> None:
    """Another program is at work on a run folder, to the end of the story."""
    run = history.run()
    lock = try_lock(run / jobs.LOCK)
    if lock:
        history.around.enter_context(lock)
        (run / jobs.STATE).write_text(json.dumps({"state": "running", "pid": os.getpid(), "reason": ""}))


def _train(history: History) -> None:
    """A training that ends in one of the ways in which they end, and writes what they write before that."""
    run, step = history.run(), history.chance.randrange(1, 40)
    ends: tuple[Any, ...] = (True, False, UserError("refused"), OSError(28, "No space left"), KeyboardInterrupt())
    end = history.chance.choice(ends)

    def train() -> bool:
        opened = RunFolder(run, SETTINGS, resume=history.chance.random() < 0.8)
        opened.record_split(SPLIT)
        load_latest_checkpoint(run / "checkpoints")
        drop_rows_after(run / "metrics.jsonl", step)
        save_checkpoint(run / "checkpoints", _checkpoint(step))
        if isinstance(end, BaseException):
            raise end
        return bool(end)

    with contextlib.suppress(KeyboardInterrupt):
        at_work_on(run, train)


def _kill(history: History) -> None:
    """A training was killed: its state says that it runs, nobody holds its lock, and a row is torn."""
    run = history.run()
    (run / jobs.STATE).write_text('{"state": "running", "pid": 1, "reason": ""}')
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "sec')


def _publish(history: History) -> None:
    name = Job(history.run()).publish()
    assert name is None or "\n" not in name


def _delete_training(history: History) -> None:
    shutil.rmtree(history.run())


def _rename_voice(history: History) -> None:
    before, new = set(available_voices()), history.name()
    old = history.voice()
    rename_voice(old, new)
    assert len(available_voices()) == len(before), "a voice was lost or overwritten"


def _delete_voice(history: History) -> None:
    name = history.voice()
    delete_voice(name)
    assert name not in available_voices()


def _use_deleted_voice(history: History) -> None:
    """A voice is deleted while it is used."""
    name = history.voice()
    voice = Voice.load(name)
    delete_voice(name)
    assert voice.examples == {}, "an example that is gone is offered"
    voice.save(history.folder / "saved")
    Voice.load(history.folder / "saved")


def _export_and_import(history: History) -> None:
    history.folder.mkdir(exist_ok=True)
    path = history.folder / "shared.voice"
    export_voice(history.voice(), path)
    before, name = set(available_voices()), history.name()
    added = import_voice(path, name)
    assert set(available_voices()) == {*before, added}, "a voice was lost or overwritten"


ACTIONS: dict[str, Callable[[History], Any]] = {
    "damage a run": _damage_run,
    "damage a voice": _damage_voice,
    "copy a run": _copy_run,
    "move a run": _move_run,
    "set the clock": _set_clock,
    "begin elsewhere": _begin_elsewhere,
    "train": _train,
    "kill": _kill,
    "pause": lambda history: Job(history.run()).pause(),
    "stop": lambda history: Job(history.run()).stop(),
    "publish": _publish,
    "delete a training": _delete_training,
    "rename a voice": _rename_voice,
    "delete a voice": _delete_voice,
    "use a deleted voice": _use_deleted_voice,
    "export and import": _export_and_import,
    "load a voice": lambda history: Voice.load(history.voice()),
}


@contextlib.contextmanager
def home_at(folder: Path) -> Iterator[None]:
    """The user's data lie in `folder` for the while."""
    with patch.dict(os.environ, {user_data.HOME: str(folder)}):
        yield
