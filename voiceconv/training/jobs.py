"""Starts, pauses and finds trainings that run in processes of their own: each is a `voiceconv train`.

Nothing about a training is kept in memory. Its process holds a lock in the run folder while it lives, and writes there
how it ended; whoever looks at the folder, after a crash or from another program, knows as much as who started it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from generative_core.files import read_rows, write_atomically
from voiceconv.errors import OtherRun, UserError, explain
from voiceconv.locks import is_locked, try_lock
from voiceconv.user_data import NAME_RULE, is_name, normalised, runs_folder, voices_folder

LOCK = ".training.lock"  # held by the process that trains
STATE = "state.json"  # how that process ended, or that it started; and its number
JOB = "job.json"
WANTED = "wanted"  # what the user asked for last: run, pause or stop
LOG = "log.txt"
PUBLISHED = "published"  # the name under which the voice is among the user's own
DRAFT = ".draft-"
START_SECONDS = 30.0
SHORTEST_BUDGET = 60.0
EXAMPLE_BYTES = 1_000_000

State = Literal["ready", "running", "stopping", "paused", "stopped", "finished", "failed", "interrupted"]
_started: dict[Path, subprocess.Popen[bytes]] = {}
_one_at_a_time = threading.RLock()


def at_work_on(run: Path, train: Callable[[], bool]) -> bool:
    """Calls `train` while holding the run folder, and leaves in it how that ended; what `train` returned.

    Raises `UserError` if another process is at work on the folder. SIGTERM ends the work in good order.
    """
    run.mkdir(parents=True, exist_ok=True)
    lock = try_lock(run / LOCK)
    if lock is None:
        raise UserError(f"{run} is being trained by another process. Wait for it, or choose another folder.")
    with lock:
        told_to_end = False

        def end(*_: object) -> None:
            nonlocal told_to_end
            told_to_end = True
            sys.exit(128 + signal.SIGTERM)

        with contextlib.suppress(ValueError):  # not in the main thread, where signals never arrive
            signal.signal(signal.SIGTERM, end)
        before = _read_json(run / STATE)
        _write_state(run, "running")
        try:
            finished = train()
        except (KeyboardInterrupt, SystemExit):
            _write_state(run, "stopped")
            raise
        except Exception as error:
            if told_to_end:  # in the middle of an import the exit comes out as another error
                _write_state(run, "stopped")
                sys.exit(128 + signal.SIGTERM)
            if before and (isinstance(error, OtherRun) or before.get("state") == "finished"):
                write_atomically(run / STATE, json.dumps(before).encode())  # how the run ended is no less true
                raise
            _write_state(run, "failed", explain(error) or f"a fault of this program ({type(error).__name__}: {error})")
            raise
        _write_state(run, "finished" if finished else "stopped")
        return finished


@dataclass(frozen=True)
class Plan:
    """What a training was asked to do. `consent` says when somebody confirmed that both speakers agreed."""

    name: str
    speakers: tuple[str, str]
    preset: str = "cpu"
    budget_seconds: float | None = None
    start_from: str | None = None
    consent: str = ""


@dataclass(frozen=True)
class Status:
    """How far a training is; `seconds` of training in all, `reason` in words where it failed."""

    state: State
    step: int
    steps: int | None
    seconds: float
    reason: str = ""


class Job:
    """A training in its run folder, with the recordings it learns from in `recordings/<speaker>/`."""

    def __init__(self, folder: Path) -> None:
        """Raises `UserError` if there is no training in `folder`."""
        self.folder = folder
        try:
            self.plan = _read_plan(folder / JOB)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(f"There is no training in {folder} ({error}).") from error

    @classmethod
    def create(cls, draft: Path, plan: Plan) -> Job:
        """A training of the recordings in `draft` (`add_recordings`), which becomes its run folder."""
        a, b = map(normalised, plan.speakers)
        plan = dataclasses.replace(plan, name=normalised(plan.name), speakers=(a, b))
        if not is_name(plan.name):
            raise UserError(f"A training cannot be called {plan.name!r}: {NAME_RULE}.")
        folder = runs_folder() / plan.name
        if folder.exists():
            raise UserError(f"There already is a training {plan.name!r}. Give this one another name.")
        write_atomically(draft / JOB, json.dumps(dataclasses.asdict(plan), indent=2).encode())
        draft.rename(folder)
        return cls(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def voice(self) -> Path | None:
        """The folder of the best voice so far; None before the first preview."""
        folder = self.folder / "voice"
        return folder if (folder / "voice.json").is_file() else None

    def recordings(self, speaker: str) -> Path:
        return self.folder / "recordings" / speaker

    def status(self) -> Status:
        """Read from the run folder alone."""
        rows = read_rows(self.folder / "metrics.jsonl", "seconds")
        step, seconds = (int(rows[-1]["step"]), float(rows[-1]["seconds"])) if rows else (0, 0.0)
        settings = _read_json(self.folder / "config.json").get("settings")
        steps = settings.get("steps") if isinstance(settings, dict) else None
        steps = steps if isinstance(steps, int) and steps > 0 else None
        ended = _read_json(self.folder / STATE)
        state: State = "ready"
        if is_locked(self.folder / LOCK) or self._is_starting():
            state = "running" if self._wanted() == "run" else "stopping"
        elif ended.get("state") == "running":
            state = "interrupted"  # its process is gone and could not say so
        elif ended.get("state") == "stopped":
            state = "stopped" if self._wanted() == "stop" else "paused"
        elif ended.get("state") in ("finished", "failed"):
            state = ended["state"]
        elif self._wanted() == "run":
            state = "interrupted"
        if state == "finished" and steps:
            step = steps
        return Status(state, step, steps, seconds, str(ended.get("reason", "")))

    def start(self) -> None:
        """Starts or resumes the training, exactly where its last checkpoint was; returns when its process is at work.

        Raises `UserError` if it runs already, or with the last line of its log if it ended at once.
        """
        with _one_at_a_time:
            if is_locked(self.folder / LOCK):
                raise UserError(f"The training {self.name!r} is already running.")
            command = [sys.executable, "-m", "voiceconv", "train"]
            command += [str(self.recordings(speaker)) for speaker in self.plan.speakers]
            command += ["--run", str(self.folder), "--preset", self.plan.preset, "--resume"]
            if self.plan.budget_seconds is not None:
                left = max(SHORTEST_BUDGET, self.plan.budget_seconds - self.status().seconds)
                command += ["--budget", f"{left:.0f}s"]
            if self.plan.start_from:
                command += ["--from", self.plan.start_from]
            self._want("run")
            (self.folder / STATE).unlink(missing_ok=True)
            with (self.folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    command,
                    cwd=Path(__file__).parents[2],  # where the package is found, installed or not
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the page
                )
            _started[self.folder] = process
            until = time.monotonic() + START_SECONDS
            while self._pid() != process.pid and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)

    def pause(self) -> None:
        """Asks the process to save a checkpoint and end; `start` goes on with the exact state."""
        self._end("pause")

    def stop(self) -> None:
        """The same, and the voice is done as far as it came."""
        if is_locked(self.folder / LOCK):
            self._end("stop")
        else:
            self._want("stop")
            if self.status().state in ("paused", "interrupted"):
                _write_state(self.folder, "stopped")

    def publish(self) -> str | None:
        """Puts the voice of a training that is over among the user's own, once; its name there, None without one."""
        from voiceconv.convert.import_voice import add_voice
        from voiceconv.voice.archive import model_card
        from voiceconv.voice.voice import Voice, available_voices

        with _one_at_a_time:
            if (self.folder / PUBLISHED).is_file():
                return _read_word(self.folder / PUBLISHED)
            if self.voice is None or self.status().state not in ("finished", "stopped"):
                return None
            taken = {known.casefold() for known in available_voices()}
            name = next(
                n for n in (self.name, *(f"{self.name} {i}" for i in range(2, 1000))) if n.casefold() not in taken
            )
            voices_folder().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".importing-", dir=voices_folder()) as unfinished:
                folder = Path(shutil.copytree(self.voice, Path(unfinished) / "voice"))
                voice = Voice.load(folder)
                (folder / "README.md").write_text(model_card(voice), encoding="utf-8")
                for speaker, clips in self._examples(voice.metadata).items():
                    (folder / "examples" / speaker).mkdir(parents=True, exist_ok=True)
                    for clip in clips:
                        shutil.copy(clip, folder / "examples" / speaker / clip.name)
                add_voice(folder, name, called=f"the voice of {self.name!r}")
            write_atomically(self.folder / PUBLISHED, name.encode())
            return name

    def previews(self) -> list[Path]:
        """The folders of what was heard on the way, oldest first."""
        found = (self.folder / "previews").glob("step_*")
        return sorted(path for path in found if path.is_dir() and re.fullmatch(r"step_\d+", path.name))

    def _examples(self, metadata: Mapping[str, Any]) -> dict[str, list[Path]]:
        """Two short recordings of each speaker that were kept from training."""
        found = {}
        for speaker, names in metadata.get("development", {}).items():
            paths = [self.recordings(speaker) / name for name in names]
            found[speaker] = [path for path in paths if path.is_file() and path.stat().st_size < EXAMPLE_BYTES][:2]
        return found

    def _end(self, wanted: str) -> None:
        pid = self._pid()
        if not is_locked(self.folder / LOCK) or pid is None:
            raise UserError(f"The training {self.name!r} is not running.")
        self._want(wanted)
        os.kill(pid, signal.SIGTERM)

    def _pid(self) -> int | None:
        pid = _read_json(self.folder / STATE).get("pid")
        # Others are no process, but groups of processes, or all that there are.
        return pid if isinstance(pid, int) and 1 < pid < 2**31 else None

    def _is_starting(self) -> bool:
        process = _started.get(self.folder)
        return process is not None and process.poll() is None

    def _wanted(self) -> str:
        return _read_word(self.folder / WANTED)

    def _want(self, what: str) -> None:
        write_atomically(self.folder / WANTED, what.encode())
        if what == "run":
            (self.folder / PUBLISHED).unlink(missing_ok=True)


def all_jobs() -> list[Job]:
    """Every training there is, the newest first."""
    found = []
    for path in runs_folder().glob(f"*/{JOB}"):
        if not path.parent.name.startswith("."):
            with contextlib.suppress(UserError, FileNotFoundError):  # deleted meanwhile
                found.append((path.stat().st_mtime, Job(path.parent)))
    return [job for _, job in sorted(found, key=lambda entry: entry[0], reverse=True)]


def find_job(name: str) -> Job:
    """Raises `UserError` if there is no training of that name."""
    for job in all_jobs():
        if job.name == name:
            return job
    raise UserError(f"There is no training {name!r}.")


def new_draft() -> Path:
    """An empty folder for recordings that may become a training."""
    runs_folder().mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=DRAFT, dir=runs_folder()))


def remove_drafts(older_than_seconds: float) -> None:
    """Removes what nobody started a training from."""
    for draft in runs_folder().glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > older_than_seconds:
            shutil.rmtree(draft, ignore_errors=True)


def add_recordings(
    draft: Path, speaker: str, files: Sequence[Path], *, description: str = "", licence: str = "", credits: str = ""
) -> Path:
    """Copies a speaker's recordings into a draft, with what is said of them; the speaker's folder there."""
    speaker = normalised(speaker)
    if not is_name(speaker):
        raise UserError(f"A speaker cannot be called {speaker!r}: {NAME_RULE}.")
    folder = draft / "recordings" / speaker
    if folder.exists():
        raise UserError(f"Both speakers are called {speaker!r}. Name one differently.")
    folder.mkdir(parents=True)
    for number, path in enumerate(files):
        # Names of uploads are whatever somebody's computer calls them, and two may be the same.
        name = re.sub(r"[^\w.() -]", "_", path.name).lstrip(".") or "recording"
        target = folder / name
        shutil.copy(path, folder / f"{number:04d}-{name}" if target.exists() else target)
    about = {"name": speaker, "description": description, "licence": licence, "credits": credits}
    (folder / "speaker.json").write_text(json.dumps(about, ensure_ascii=False, indent=2), encoding="utf-8")
    return folder


def _write_state(run: Path, state: str, reason: str = "") -> None:
    write_atomically(run / STATE, json.dumps({"state": state, "pid": os.getpid(), "reason": reason}).encode())


def _read_plan(path: Path) -> Plan:
    """Raises `OSError`, `ValueError`, `TypeError` or `KeyError` if there is none at `path`, or not as it was written:
    the folder may come from anywhere, and speakers are names of folders in it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    plan = Plan(**{**record, "speakers": tuple(record["speakers"])})
    texts = (plan.name, plan.preset, plan.consent, plan.start_from or "")
    if len(plan.speakers) != 2 or not all(isinstance(text, str) for text in (*texts, *plan.speakers)):
        raise ValueError("its entries are not those of a training")
    for speaker in plan.speakers:
        if not is_name(speaker):
            raise ValueError(f"a speaker cannot be called {speaker!r}: {NAME_RULE}")
    if plan.budget_seconds is not None and not 0 <= float(plan.budget_seconds) < math.inf:
        raise ValueError("its budget is not a number of seconds")
    return plan


def _read_word(path: Path) -> str:
    """A file of one word, empty if there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
