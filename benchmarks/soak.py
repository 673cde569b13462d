"""Loads a server with live speech and mixed requests for hours: `python -m benchmarks.soak --minutes 120`.

Starts the page. One visitor speaks live, without end, in real time. Others convert clips of several lengths, ask for
what does not exist, upload files that are no recordings, and leave in the middle. Every `--every` minutes a row is
printed: requests and how long they took, how long after it was spoken a block of live speech was answered, the server's
memory, and temporary files. Memory is flat when the second half adds less than `--may-grow`. The exit status is 1
otherwise, or when an answer was wrong.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import tyro

from benchmarks.kill import RATE, buzz
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.voice.voice import Voice

BLOCK = 1024  # samples of live speech at a time


@dataclass(frozen=True)
class Config:
    """How long to load the server, and with how many visitors."""

    minutes: float = 120.0
    """In all."""
    every: float = 10.0
    """Minutes between rows."""
    clients: int = 3
    """Visitors with recordings at a time."""
    pause: float = 4.0
    """Seconds that each of them waits between two requests, on average."""
    live: int = 1
    """Visitors who speak live, two at most."""
    vocoder: str = "istft"
    """What the server speaks through."""
    model: str = "allison-joe"
    """The voice."""
    may_grow: float = 100.0
    """MiB that the server's memory may grow by in the second half."""


@dataclass
class Tally:
    """Counts and times of the requests since the last row."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)


def visit(
    address: str,
    folder: Path,
    targets: tuple[str, ...],
    pause: float,
    tally: Tally,
    over: threading.Event,
    seed: int,
) -> None:
    """One visitor after another, until it is over."""
    from gradio_client import Client, handle_file

    chance = random.Random(seed)
    while not over.is_set():
        client = Client(address, verbose=False, download_files=folder / f"got-{seed}")
        while not over.is_set() and chance.random() < 0.9:
            over.wait(chance.uniform(0.0, 2 * pause))
            what = chance.random()
            length = chance.choice((0.5, 1.0, 2.0, 5.0))
            path = folder / f"{length:g}.wav"
            target = chance.choice(targets)
            started = time.perf_counter()
            try:
                if what < 0.1:
                    client.predict(handle_file(folder / "letter.wav"), target, api_name="/convert")
                    tally.wrong.append("a letter was converted")
                elif what < 0.2:
                    client.predict(handle_file(path), "nobody", api_name="/convert")
                    tally.wrong.append("nobody spoke")
                elif what < 0.3:
                    client.submit(handle_file(path), target, api_name="/convert").cancel()
                    tally.left += 1
                else:
                    result = Path(client.predict(handle_file(path), target, api_name="/convert"))
                    tally.seconds.append(time.perf_counter() - started)
                    if soundfile.info(result).frames != round(length * RATE):
                        tally.wrong.append(f"{soundfile.info(result).frames} samples for {length} s")
                    result.unlink()
            except Exception as error:
                if what < 0.2 and ("audio" in str(error) or "did you mean" in str(error)):
                    tally.refused += 1
                else:
                    tally.wrong.append(f"{type(error).__name__}: {error}")
        client.close()


def speak(address: str, target: str, told: multiprocessing.Queue[float | str]) -> None:
    """One visitor who says the same again and again, in blocks that are sent when they would have been spoken.

    A process of its own, so that nobody else's work is measured; tells the seconds to each answer, or what was wrong.
    """
    from websockets.sync.client import connect

    speech = buzz(160.0, 7.0)
    try:
        with connect(f"{address.replace('http', 'ws')}/live?voice={target}") as socket:
            if "error" in (opened := json.loads(socket.recv())):
                raise ConnectionError(opened["error"])
            started, sent, got = time.monotonic(), 0, 0
            while True:
                block = np.take(speech, range(sent, sent + BLOCK), mode="wrap")
                sent += BLOCK
                spoken = started + sent / RATE
                time.sleep(max(0.0, spoken - time.monotonic()))
                socket.send(block.astype("<f4").tobytes())
                while isinstance(message := socket.recv(), str):
                    if "error" in json.loads(message):
                        raise ConnectionError(message)
                got += len(message) // 4
                if not 0 <= sent - got <= RATE:
                    raise ConnectionError(f"{got} samples came back for {sent}")
                told.put(time.monotonic() - spoken)
    except Exception as error:
        told.put(f"live: {type(error).__name__}: {error}")


def memory(pid: int) -> float:
    """MiB that a process holds."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(said) / 1024


def main(config: Config) -> int:
    """Prints the rows; 1 if memory grew or an answer was wrong."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        for length in (0.5, 1.0, 2.0, 5.0):
            soundfile.write(folder / f"{length:g}.wav", buzz(160.0, length), RATE)
        (folder / "letter.wav").write_text("no sound at all " * 100)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "app.py", "--port", str(port), "--vocoder", config.vocoder, "--model", config.model]
        command += ["--home", str(folder / "home")]
        address = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "TMPDIR": name}
        root = Path(__file__).parents[1]
        with (folder / "log.txt").open("wb") as log:
            server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            return soak(config, folder, address, server)
        finally:
            server.terminate()
            server.wait()
            if "Traceback" in (folder / "log.txt").read_text():
                print((folder / "log.txt").read_text()[-3000:], file=sys.stderr)


def soak(config: Config, folder: Path, address: str, server: subprocess.Popen[bytes]) -> int:
    """Sends the visitors to a server that is starting."""
    while f"open on {address}" not in (folder / "log.txt").read_text():
        if server.poll() is not None:
            raise SystemExit((folder / "log.txt").read_text())
        time.sleep(0.5)
    over, tally, targets = threading.Event(), Tally(), Voice.load(config.model).names
    crowd = [
        threading.Thread(target=visit, args=(address, folder, targets, config.pause, tally, over, seed), daemon=True)
        for seed in range(config.clients)
    ]
    for visitor in crowd:
        visitor.start()
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[float | str] = context.Queue()
    for number in range(config.live):
        context.Process(target=speak, args=(address, targets[number % 2], told), daemon=True).start()
    print(
        "| minute | converted | refused | left | wrong | p50 (s) | p99 (s) | live blocks | p50 (ms) | p99 (ms) "
        "| memory (MiB) | temporary (MiB) |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    started, held, wrong = time.monotonic(), list[float](), list[str]()
    while time.monotonic() - started < config.minutes * 60:
        time.sleep(min(config.every * 60, max(0.0, started + config.minutes * 60 - time.monotonic())))
        seconds, refused, left, live = tally.seconds[:], tally.refused, tally.left, list[float]()
        while not told.empty():
            if isinstance(heard := told.get(), str):
                tally.wrong.append(heard)
            else:
                live.append(heard)
        wrong += tally.wrong
        with urllib.request.urlopen(f"{address}/health") as response:
            health = json.load(response)
        held.append(memory(server.pid))
        p50, p99 = np.percentile(seconds or [np.nan], [50, 99])
        soon, late = 1000 * np.percentile(live or [np.nan], [50, 99])
        print(
            f"| {(time.monotonic() - started) / 60:.0f} | {len(seconds)} | {refused} | {left} | {len(tally.wrong)} "
            f"| {p50:.2f} | {p99:.2f} | {len(live)} | {soon:.0f} | {late:.0f} "
            f"| {held[-1]:.0f} | {health['temporary_bytes'] / 2**20:.1f} |",
            flush=True,
        )
        tally.seconds, tally.refused, tally.left, tally.wrong = [], 0, 0, []
    over.set()
    for visitor in crowd:
        visitor.join(timeout=120)
    wrong += tally.wrong
    grown = held[-1] - held[len(held) // 2]
    print(f"\nThe second half added {grown:.0f} MiB; wrong answers: {len(wrong)}")
    for what in wrong[:20]:
        print(what)
    return 1 if wrong or grown > config.may_grow else 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
