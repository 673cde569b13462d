"""Converts a folder of recordings into another one, several at a time, and resumes wherever it was stopped.

`manifest.jsonl` in the output folder has a line for each recording, written when it is finished: from what, by which
voice, into what. A recording whose line still holds is not converted again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from generative_core.files import UNFINISHED, write_atomically
from voiceconv import __version__
from voiceconv.convert.controls import USUAL, Controls
from voiceconv.errors import UserError, explain
from voiceconv.locks import try_lock
from voiceconv.progress_line import ProgressLine

if TYPE_CHECKING:
    from voiceconv.convert.converter import VoiceConverter
    from voiceconv.convert.file import Progress

MANIFEST = "manifest.jsonl"
LOCK = ".voiceconv.lock"
Row = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to convert with, as the command line says it; `model` None is a voice that has the target."""

    model: str | None
    target: str
    controls: Controls = USUAL
    vocoder: str | None = None

    def load(self) -> VoiceConverter:
        """Raises `UserError` for an unknown voice, target or vocoder."""
        from voiceconv.convert.converter import VoiceConverter
        from voiceconv.voice.voice import voice_with

        converter = VoiceConverter.from_pretrained(self.model or voice_with(self.target), vocoder=self.vocoder)
        converter.voice.index(self.target)
        return converter

    def settings(self, converter: VoiceConverter) -> Row:
        """All that the result depends on beside the recording; stands in each line of the manifest."""
        from voiceconv.weights import WEIGHTS  # which loads torch

        weights = (converter.voice.folder or Path()) / WEIGHTS
        return {
            "voice": converter.name,
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "target": self.target,
            **asdict(self.controls),
            "vocoder": converter.vocoder.name,
            "vocoder_weights": converter.vocoder.weights_sha256,
            "version": __version__,
        }


class Task(NamedTuple):
    source: Path
    output: Path


class Outcome(NamedTuple):
    """`reason` is None when the recording was converted; `sound` and `taken` are seconds."""

    sound: float
    taken: float
    reason: str | None


def convert_one(
    converter: VoiceConverter, request: Request, source: Path, output: Path, on_progress: Progress
) -> float:
    """Converts one file into another; the seconds of sound in it. Raises `UserError` as `convert_file` does."""
    from voiceconv.convert.file import convert_file

    comment, controls = converter.comment(request.target), request.controls
    return convert_file(converter, source, output, request.target, controls, comment=comment, on_progress=on_progress)


def convert_recording(
    converter: VoiceConverter, request: Request, source: Path, output: Path, on_progress: Progress | None = None
) -> Outcome:
    """`convert_one`, but whatever goes wrong is the outcome, no exception."""
    started = time.perf_counter()
    try:
        sound = convert_one(converter, request, source, output, on_progress or (lambda done, total: None))
    except Exception as error:  # one recording must not stop the others, whoever is to blame
        reason = explain(error) or f"a fault of this program ({type(error).__name__}: {error})"
        return Outcome(0.0, time.perf_counter() - started, reason)
    return Outcome(sound, time.perf_counter() - started, None)


def convert_folder(
    source: Path, output: Path, pairs: Sequence[tuple[Path, Path]], request: Request, jobs: int = 1
) -> int:
    """Converts `pairs` of recordings under `source` and results under `output`, `jobs` at a time; the exit status.

    What the manifest says is done, and is as it was, is skipped. Raises `UserError` if another process is at work on
    the same output folder, or for a mistake in the request.
    """
    converter = request.load()
    output.mkdir(parents=True, exist_ok=True)
    lock = try_lock(output / LOCK)
    if lock is None:
        raise UserError(f"Another process is converting into {output}. Wait for it, or choose another folder.")
    with lock:
        settings = request.settings(converter)
        manifest = Manifest(source, output, settings)
        for folder in {target.parent for _, target in pairs}:
            for leftover in folder.glob(UNFINISHED):  # of a process that was killed
                leftover.unlink(missing_ok=True)
        todo = [Task(*pair) for pair in pairs if not manifest.holds(*pair)]
        if len(todo) < len(pairs):
            print(f"{len(pairs) - len(todo)} of {len(pairs)} recordings are done and unchanged.", flush=True)
        jobs = min(jobs, len(todo))
        failures = []

        def put_down(task: Task, outcome: Outcome) -> None:
            manifest.add(task, outcome)
            if outcome.reason is None:
                print(f"{task.source} -> {task.output} ({outcome.sound:.1f} s in {outcome.taken:.1f} s)", flush=True)
            else:
                named = str(task.source) in outcome.reason
                failures.append(outcome.reason if named else f"{task.source}: {outcome.reason}")

        if jobs > 1:
            del converter  # the workers have their own
            _in_processes(todo, request, jobs, put_down)
        else:
            for task in todo:
                put_down(task, convert_recording(converter, request, *task, ProgressLine()))
        manifest.tidy(pairs)
    if failures:
        print(f"{len(failures)} of {len(pairs)} recordings failed, the others are done:", file=sys.stderr)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 2 if failures else 0


class Manifest:
    """The lines of `manifest.jsonl`, by recording; a line that was cut off by a crash does not count."""

    def __init__(self, source: Path, output: Path, settings: Row) -> None:
        self.source, self.output, self.settings = source, output, settings
        self.path = output / MANIFEST
        self.rows: dict[str, Row] = {}
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        foreign = False
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                foreign = foreign or line.endswith(b"\n")
                continue
            if isinstance(row, dict) and all(isinstance(row.get(key), str) for key in ("source", "output", "status")):
                self.rows[row["source"]] = row
            else:
                foreign = True
        if foreign and not self.rows:
            raise UserError(
                f"{self.path} was not written by this program, which keeps its list of results under that name. Choose "
                "another folder for the results."
            )
        if lines and not lines[-1].endswith(b"\n"):
            self._write()  # what is added next must not continue the torn line

    def holds(self, source: Path, output: Path) -> bool:
        """Whether `output` was made from `source` as it is, with these settings, and is still there as it was made."""
        row = self.rows.get(self._name(source))
        if row is None or row.get("status") != "done" or any(row.get(k) != v for k, v in self.settings.items()):
            return False
        try:
            now = {**_stamp("source", source), **_stamp("output", output)}
        except OSError:
            return False
        return row["output"] == output.relative_to(self.output).as_posix() and all(row.get(k) == now[k] for k in now)

    def add(self, task: Task, outcome: Outcome) -> None:
        """Puts a finished recording down, at once. A failed one leaves no result, not even that of another run."""
        name, target = self._name(task.source), task.output.relative_to(self.output).as_posix()
        row: Row = {"source": name, "output": target, "status": "done" if outcome.reason is None else "failed"}
        if outcome.reason is None:
            row |= {**_stamp("source", task.source), **_stamp("output", task.output), "seconds": outcome.sound}
        else:
            row["reason"] = outcome.reason
            if self.rows.get(name, {}).get("output") == target:
                task.output.unlink(missing_ok=True)
        self.rows[name] = {**row, **self.settings}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.rows[name]) + "\n")

    def tidy(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """One line for each recording there is, in order."""
        names = [self._name(source) for source, _ in pairs]
        self.rows = {name: self.rows[name] for name in sorted(names)}
        self._write()

    def _write(self) -> None:
        write_atomically(self.path, "".join(json.dumps(row) + "\n" for row in self.rows.values()).encode())

    def _name(self, source: Path) -> str:
        return source.relative_to(self.source).as_posix()


def _stamp(which: str, path: Path) -> Row:
    """What changes when a file does. Times are only ever compared for being the same: clocks may be set back."""
    status = path.stat()
    return {f"{which}_bytes": status.st_size, f"{which}_mtime_ns": status.st_mtime_ns}


def _in_processes(
    tasks: Sequence[Task], request: Request, jobs: int, put_down: Callable[[Task, Outcome], None]
) -> None:
    """Hands the outcomes of `tasks` to `put_down` as they come, from `jobs` processes. On Ctrl-C the recordings at hand
    are still finished.

    When one of these dies, the recordings at hand are tried again, one at a time: the one that kills a process on its
    own has failed, its neighbours have not.
    """
    waiting, suspects = deque(tasks), deque[Task]()
    running: dict[Future[Outcome], Task] = {}
    alone = False  # whether a suspect is being tried
    pool = _pool(request, jobs)
    try:
        while waiting or suspects or running:
            if suspects and not running:
                task = suspects.popleft()
                running[pool.submit(_convert_in_worker, request, *task)] = task
                alone = True
            while waiting and not suspects and not alone and len(running) < jobs:
                task = waiting.popleft()
                running[pool.submit(_convert_in_worker, request, *task)] = task
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            if not any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                for future in done:
                    put_down(running[future], future.result())
                    del running[future]
                alone = alone and bool(running)
                continue
            wait(running)
            pool.shutdown(wait=True)
            pool = _pool(request, jobs)
            for future, task in running.items():
                if future.exception() is None:
                    put_down(task, future.result())
                elif alone:
                    reason = "the process at work on it was killed, perhaps for want of memory"
                    put_down(task, Outcome(0.0, 0.0, reason))
                else:
                    suspects.append(task)
            running.clear()
            alone = False
    except KeyboardInterrupt:
        pool.shutdown(wait=True, cancel_futures=True)
        for future, task in running.items():
            if not future.cancelled() and future.exception() is None:
                put_down(task, future.result())
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(request: Request, jobs: int) -> ProcessPoolExecutor:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(request, threads))


_worker_converter: VoiceConverter


def _start_worker(request: Request, threads: int) -> None:
    """Ctrl-C is for the parent, which lets the recordings at hand end; when the parent is killed, so is the worker."""
    global _worker_converter
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    _worker_converter = request.load()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _convert_in_worker(request: Request, source: Path, output: Path) -> Outcome:
    return convert_recording(_worker_converter, request, source, output)
