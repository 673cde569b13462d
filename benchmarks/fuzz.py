"""Odd and mutated recordings and voice files, converted: `python -m benchmarks.fuzz --audio 10000 --voices 2000`.

Each case is made from its number alone (`fuzz_cases.py`), so that a finding can be made again (`--first N --audio 1`).
Odd numbers go through the conversion of long files. A case may be converted or refused with a sentence; an exception
that is no sentence, a traceback printed on the way, a process that dies and one that takes longer than `--limit` are
findings. Their inputs are kept in `--out`. The exit status is 1 if there was any.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.fuzz_cases import audio_case, is_gentle, recordings, voice_case
from voiceconv.cli.terminal import run_in_terminal

Kind = Literal["audio", "voice"]
OUTCOMES = ("converted", "refused", "fault", "traceback", "crash", "hang")


@dataclass(frozen=True)
class Config:
    """How many cases, how many at a time, and how long one may take."""

    audio: int = 10_000
    """Mutated recordings."""
    voices: int = 2_000
    """Mutated voice files."""
    first: int = 0
    """The number of the first case of each kind."""
    jobs: int = 1
    """Processes."""
    limit: float = 60.0
    """Seconds after which a case hangs."""
    out: Path = Path("fuzz")
    """Folder for the inputs of findings."""
    model: str = "allison-joe"
    """The voice that converts mutated recordings, and that is mutated."""


def work(model: str, pipe: Connection) -> None:
    """A process that answers each (kind, number) with what became of it."""
    import torch

    from voiceconv import user_data as library
    from voiceconv.audio.files import load_audio
    from voiceconv.convert import file as file_conversion
    from voiceconv.convert.converter import VoiceConverter
    from voiceconv.convert.import_voice import import_voice
    from voiceconv.errors import explain

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), sys.stderr.fileno())  # a callback of a library prints what it cannot raise
        os.environ[library.HOME] = home
        converter = VoiceConverter.from_pretrained(model, device="cpu")
        sound, out = Path(home) / "sound.wav", Path(home) / "out.wav"
        sound.write_bytes(recordings()["a.wav"])

        def convert(by: VoiceConverter, path: Path, number: int) -> None:
            file_conversion.LONG_SECONDS = 0.3 if number % 2 else 60.0
            seconds = file_conversion.convert_file(by, path, out, by.voices[1], comment="fuzz", max_seconds=20.0)
            assert len(load_audio(out, by.sample_rate)) == round(seconds * by.sample_rate)

        while True:
            kind, number = pipe.recv()
            name, content = audio_case(number) if kind == "audio" else voice_case(number, model)
            path = Path(home) / name
            path.write_bytes(content)
            try:
                if kind == "audio":
                    convert(converter, path, number)
                else:
                    added = import_voice(path, f"case {number}")
                    convert(VoiceConverter.from_pretrained(added, device="cpu"), sound, number)
                answer = "converted"
            except Exception as error:
                reason = explain(error)
                answer = f"refused: {reason}" if reason else f"fault: {type(error).__name__}: {error}"
            said.seek(0)
            if b"Traceback" in said.read():
                answer = f"traceback: after it was {answer}"
            said.truncate(0)
            shutil.rmtree(library.voices_folder(), ignore_errors=True)
            path.unlink(missing_ok=True)
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
        self.fresh = True

    def run(self, kind: Kind, number: int, limit: float) -> str:
        self.pipe.send((kind, number))
        try:
            # A fresh process first imports and loads.
            answer = self.pipe.recv() if self.pipe.poll(limit + (120 if self.fresh else 0)) else "hang"
            self.fresh = False
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


def main(config: Config) -> int:
    """Runs all cases and prints how they ended; 1 if there were findings."""
    cases: list[tuple[Kind, int]] = [("audio", config.first + number) for number in range(config.audio)]
    cases += [("voice", config.first + number) for number in range(config.voices)]
    waiting, ended, findings = iter(cases), Counter[tuple[str, bool, str]](), list[str]()
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
                ended[case[0], is_gentle(case[1]), answer.split(":")[0]] += 1
                if not answer.startswith(("converted", "refused")):
                    findings.append(f"{case[0]} {case[1]}: {answer}")
                    print(findings[-1], flush=True)
                    name, content = audio_case(case[1]) if case[0] == "audio" else voice_case(case[1], config.model)
                    config.out.mkdir(parents=True, exist_ok=True)
                    (config.out / f"{case[0]}-{case[1]}-{name}").write_bytes(content)
                if (done := sum(ended.values())) % 500 == 0:
                    print(f"{done} of {len(cases)}", flush=True)
        worker.close()

    threads = [threading.Thread(target=serve) for _ in range(config.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\n| cases | {' | '.join(OUTCOMES)} |\n{'|---' * (len(OUTCOMES) + 1)}|")
    for kind in ("audio", "voice"):
        for gentle, changed in ((False, "mutated"), (True, "odd")):
            counts = " | ".join(str(ended[kind, gentle, outcome]) for outcome in OUTCOMES)
            print(f"| {kind}, {changed} | {counts} |")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
