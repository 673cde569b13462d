"""Hands odd and damaged inputs to the program: `python -m benchmarks.fuzz --audio 10000 --pictures 10000`.

Recordings, voice files, pictures, names of files, run folders, what happens to trainings and voices, and environments
(`fuzzing/`); none unless their number is given. Each case is made from its number alone, so that a finding can be made
again (`--first N --audio 1`). Of recordings, odd numbers go through the conversion of long files. A case may have a
result or be refused with a sentence; an exception that is no sentence, a traceback printed on the way, changed
originals, a process that dies and one that takes longer than `--limit` are findings. Their inputs are kept in `--out`.
The exit status is 1 if there was any.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import tyro

from benchmarks.fuzzing.mutations import is_gentle
from benchmarks.fuzzing.trials import KINDS, Trials, inputs
from voiceconv.cli.terminal import run_in_terminal

LOADING_SECONDS = 120  # more for the first case of a kind, which loads or trains what its kind needs
OUTCOMES = ("done", "refused", "fault", "traceback", "crash", "hang")


@dataclass(frozen=True)
class Config:
    """How many cases, how many at a time, and how long one may take."""

    audio: int = 0
    """Recordings that are damaged or odd."""
    voices: int = 0
    """Voice files that are damaged or odd."""
    pictures: int = 0
    """Pictures that are damaged or odd."""
    names: int = 0
    """Folders of recordings and pictures with odd names."""
    run_folders: int = 0
    """Changed folders of a run to go on with."""
    states: int = 0
    """Stories of what happens to trainings and voices."""
    environments: int = 0
    """Environments to run commands in, each in a new process."""
    first: int = 0
    """The number of the first case of each kind."""
    jobs: int = 1
    """Processes."""
    limit: float = 60.0
    """Seconds after which a case hangs."""
    out: Path = Path("fuzz")
    """Folder for the inputs of findings."""
    model: str = "allison-joe"
    """The voice that converts recordings, and that is damaged."""

    @property
    def counts(self) -> dict[str, int]:
        """How many cases of each kind."""
        counts = (self.audio, self.voices, self.pictures, self.names, self.run_folders, self.states, self.environments)
        return dict(zip(KINDS, counts, strict=True))


def work(model: str, pipe: Connection) -> None:
    """A process that answers each (kind, number) with what became of it."""
    import torch

    from voiceconv import user_data
    from voiceconv.errors import explain

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), sys.stderr.fileno())  # a callback of a library prints what it cannot raise
        os.environ[user_data.HOME] = home
        trials = Trials(model, Path(home))
        pipe.send("ready")
        while True:
            kind, number = pipe.recv()
            try:
                trials.run(kind, number)
                answer = "done"
            except Exception as error:
                reason = explain(error)
                answer = f"refused: {reason}" if reason else f"fault: {type(error).__name__}: {error}"
            said.seek(0)
            if b"Traceback" in said.read():
                answer = f"traceback: after it was {answer}"
            said.truncate(0)
            pipe.send(answer)


class Worker:
    """A process for the cases, replaced when one killed it or held it up."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(self.model, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.tried: set[str] = set()

    def run(self, kind: str, number: int, limit: float) -> str:
        try:
            if not self.tried:
                assert self.pipe.recv() == "ready"
            if kind not in self.tried:
                limit += LOADING_SECONDS
            self.tried.add(kind)
            self.pipe.send((kind, number))
            answer = self.pipe.recv() if self.pipe.poll(limit) else "hang"
        except EOFError:
            self.process.join()
            answer = f"crash: exit status {self.process.exitcode}"
        if answer.startswith(("hang", "crash")):
            self.close()
            self._start()
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def row_of(kind: str, number: int) -> str:
    """Where in the table a case is counted."""
    return f"{kind}, {'odd' if is_gentle(number) else 'damaged'}" if kind in ("audio", "voice", "picture") else kind


def main(config: Config) -> int:
    """Runs all cases and prints how they ended; 1 if there were findings."""
    cases = [(kind, config.first + number) for kind, count in config.counts.items() for number in range(count)]
    waiting, ended, findings = iter(cases), Counter[tuple[str, str]](), list[str]()
    lock = threading.Lock()

    def serve() -> None:
        worker = Worker(config.model)
        while True:
            with lock:
                case = next(waiting, None)
            if case is None:
                break
            answer = worker.run(*case, config.limit)
            with lock:
                ended[row_of(*case), answer.split(":")[0]] += 1
                if not answer.startswith(("done", "refused")):
                    findings.append(f"{case[0]} {case[1]}: {answer}")
                    print(findings[-1], flush=True)
                    config.out.mkdir(parents=True, exist_ok=True)
                    for name, content in inputs(*case, config.model).items():
                        (config.out / f"{case[0].replace(' ', '-')}-{case[1]}-{name}").write_bytes(content)
                if (done := sum(ended.values())) % 500 == 0:
                    print(f"{done} of {len(cases)}", flush=True)
        worker.close()

    threads = [threading.Thread(target=serve) for _ in range(config.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\n| cases | {' | '.join(OUTCOMES)} |\n{'|---' * (len(OUTCOMES) + 1)}|")
    for row in dict.fromkeys(row_of(*case) for case in cases):
        print(f"| {row} | {' | '.join(str(ended[row, outcome]) for outcome in OUTCOMES)} |")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
