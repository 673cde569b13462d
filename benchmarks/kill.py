"""Kills trainings, conversions of folders and saves at random moments: `python -m benchmarks.kill --rounds 100`.

After each `kill -9`, everything that was finished must be whole: the newest checkpoint and the voice load, no logged
step appears twice, every result in the manifest is a recording of the right length, and a resumed run ends where an
undisturbed run ends. Losing more than what came after the last checkpoint is a finding. The exit status is 1 if there
was any.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import tyro

from generative_core.files import read_rows
from generative_core.training.checkpoint import load_latest_checkpoint
from voiceconv import user_data as library
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.convert.folder import MANIFEST
from voiceconv.errors import UserError
from voiceconv.training.jobs import Job, Plan, add_recordings, new_draft
from voiceconv.voice.voice import Voice

RATE = 22050


@dataclass(frozen=True)
class Config:
    """How often to kill what."""

    rounds: int = 100
    """Kills of each kind."""
    kinds: tuple[Literal["saving", "batch", "training"], ...] = ("saving", "batch", "training")
    """What is killed."""
    seed: int = 0
    """Of the moments."""
    model: str = "allison-joe"
    """The voice that converts and is saved."""


class Finding(Exception):
    """Something was lost or torn."""


def saving(config: Config, folder: Path, chance: random.Random) -> None:
    """Kills a process that saves two versions of a voice in turn; the last one must load after each kill."""
    Voice.load(config.model).save(folder / "voice")
    code = (
        "import sys, itertools\nfrom pathlib import Path\nfrom voiceconv.voice.voice import Voice\n"
        "voice = Voice.load(sys.argv[1])\nprint('ready', flush=True)\n"
        "for n in itertools.count():\n"
        "    next(voice.speaker_classifier.parameters()).data.add_(0.001)\n    voice.save(Path(sys.argv[2]))\n"
    )
    for _ in range(config.rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", code, config.model, str(folder / "voice")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 1.5))
        process.kill()
        process.wait()
        process.stdout.close()
        try:
            Voice.load(folder / "voice")
        except UserError as error:
            raise Finding(f"the voice does not load: {error}") from error


def batch(config: Config, folder: Path, chance: random.Random) -> None:
    """Kills a conversion of a folder by two processes; what the manifest lists must exist and be whole."""
    source = folder / "in"
    source.mkdir()
    lengths = {}
    for number in range(20):
        lengths[f"{number:02d}.wav"] = 0.5 + 0.1 * number
        soundfile.write(source / f"{number:02d}.wav", buzz(120 + 5 * number, 0.5 + 0.1 * number), RATE)
    options = ["--to", Voice.load(config.model).names[1], "--model", config.model]
    options += ["--vocoder", "griffin-lim", "--jobs", "2"]
    kills = tries = 0
    while kills < config.rounds:
        output = folder / f"out-{tries}"
        tries += 1
        command = [sys.executable, "-m", "voiceconv", "convert", str(source), str(output), *options]
        while True:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            try:
                _, said = process.communicate(timeout=chance.uniform(3.0, 25.0) if kills < config.rounds else None)
            except subprocess.TimeoutExpired:
                # Half of the time the workers too, as the system does when memory runs out.
                if chance.random() < 0.5:
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.communicate()
                kills += 1
            require_whole(output, lengths)
            if process.returncode == 0:
                break
            if process.returncode > 0:
                raise Finding(f"the command failed: {said}")
        if len(finished(output)) != len(lengths) or list(output.rglob("*.part")):
            raise Finding(f"{output} is not complete, or not tidy")


def finished(output: Path) -> dict[str, str]:
    """Name -> result, of the whole lines of the manifest."""
    path = output / MANIFEST
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {row["source"]: row["output"] for row in rows if row["status"] == "done"}


def require_whole(output: Path, lengths: dict[str, float]) -> None:
    for source, result in finished(output).items():
        if soundfile.info(output / result).frames != round(lengths[source] * RATE):
            raise Finding(f"{output / result} is not as long as its recording")


def training(config: Config, folder: Path, chance: random.Random) -> None:
    """Kills trainings of the smoke preset, which must keep their last checkpoint."""
    os.environ[library.HOME] = str(folder)
    recordings = {}
    for name, pitch in (("high", 210.0), ("low", 110.0)):
        (folder / name).mkdir()
        for number in range(12):
            soundfile.write(folder / name / f"{number:02d}.wav", buzz(pitch + number, 2.5), RATE)
        recordings[name] = sorted((folder / name).glob("*.wav"))
    kills = 0
    job = new_job(recordings, kills)
    while kills < config.rounds:
        before = checkpoint_step(job)
        job.start()
        time.sleep(chance.uniform(0.0, 30.0))
        if job.status().state == "running":
            os.kill(json.loads((job.folder / "state.json").read_text())["pid"], signal.SIGKILL)
            while job.status().state == "running":
                time.sleep(0.05)
            kills += 1
            if job.status().state != "interrupted":
                raise Finding(f"a killed training is {job.status().state}: {job.status().reason}")
        after = checkpoint_step(job)
        if after < before:
            raise Finding(f"the newest checkpoint was of step {before}, now it is of {after}")
        if job.voice is not None:
            Voice.load(job.voice)
        steps = [row["step"] for row in read_rows(job.folder / "scores.jsonl")]
        if len(steps) != len(set(steps)):
            raise Finding(f"steps stand twice in scores.jsonl: {steps}")
        if job.status().state == "failed":
            raise Finding(job.status().reason)
        if job.status().state == "finished":
            if job.voice is None:
                raise Finding("a training is finished, and there is no voice")
            job = new_job(recordings, kills)


def new_job(recordings: dict[str, list[Path]], number: int) -> Job:
    draft = new_draft()
    for name, paths in recordings.items():
        add_recordings(draft, name, paths)
    return Job.create(draft, Plan(f"job {number} {time.monotonic_ns()}", ("high", "low"), "smoke"))


def checkpoint_step(job: Job) -> int:
    state = load_latest_checkpoint(job.folder / "checkpoints")
    return int(state["step"]) if state else -1


def buzz(pitch: float, seconds: float) -> np.ndarray:
    """A tone with overtones that swells as syllables do, `(T,)`."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * k * pitch * (time + 0.002 * np.sin(3 * time))) / k for k in range(1, 12))
    return (0.1 * tone * (0.1 + np.sin(2 * np.pi * time) ** 2)).astype(np.float32)


def main(config: Config) -> int:
    """Prints a line for each kind; 1 if anything was lost."""
    status = 0
    for kind in config.kinds:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            try:
                {"saving": saving, "batch": batch, "training": training}[kind](
                    config, Path(folder), random.Random(f"{kind} {config.seed}")
                )
                told = "nothing lost"
            except Finding as finding:
                told, status = f"LOST: {finding}", 1
        print(f"{kind}: {config.rounds} kills, {told} ({time.monotonic() - started:.0f} s)", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
