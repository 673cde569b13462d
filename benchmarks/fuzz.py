"""Mutated recordings and voice files through load -> convert: `python -m benchmarks.fuzz --audio 10000 --voices 2000`.

Each case is made from its number alone, so that a finding can be made again (`--first N --audio 1`). A case may be
converted or refused with a sentence; an exception that is no sentence, a process that dies and one that takes longer
than `--limit` are findings. Their inputs are kept in `--out`. The exit status is 1 if there was any.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from voiceconv.terminal import run_in_terminal

Kind = Literal["audio", "voice"]
OUTCOMES = ("converted", "refused", "fault", "crash", "hang")
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")
VALUES: tuple[Any, ...] = (None, 0, -1, 1, 2**31, 10**30, 1e308, float("nan"), True, "", "../x", "\ud800", [], {}, [[]])


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


def mutate(content: bytes, chance: random.Random, other: bytes) -> bytes:
    """A few random changes of the kinds that find mistakes in readers of files; headers get more than their share."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        end = len(data) if chance.random() < 0.4 else min(len(data), 256)
        at = chance.randrange(end)
        what = chance.randrange(7)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at : at + 4] = chance.choice(EXTREMES)
        elif what == 2:
            del data[at:]
        elif what == 3:
            del data[at : at + chance.randrange(1, 64)]
        elif what == 4:
            data[at:at] = data[at : at + chance.randrange(1, 4096)]
        elif what == 5:
            data[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(64))
        else:
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randrange(1, 4096)]
    return bytes(data)


def mutate_json(value: Any, chance: random.Random) -> Any:
    """One value somewhere inside is replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return value
        key = chance.choice(keys)
        if isinstance(at[key], dict | list) and chance.random() < 0.8:
            at = at[key]
            continue
        what = chance.randrange(4)
        if what == 0:
            del at[key]
        elif what == 1 and isinstance(at, dict):
            at[f"{key}2"] = at[key]
        elif what == 2 and isinstance(at[key], int | float):
            at[key] = at[key] * chance.choice((-1, 0, 0.5, 2, 1000, 1e12))
        else:
            at[key] = chance.choice(VALUES)
        return value


def audio_case(number: int) -> tuple[str, bytes]:
    """File name and content of a mutated recording."""
    chance = random.Random(f"audio {number}")
    names = sorted(recordings())
    name, other = chance.choice(names), chance.choice(names)
    return name, mutate(recordings()[name], chance, recordings()[other])


def voice_case(number: int, model: str) -> tuple[str, bytes]:
    """A mutated voice file: the archive itself, or one of the files in it under a valid archive and a valid hash."""
    chance = random.Random(f"voice {number}")
    whole = voice_file(model)
    if chance.random() < 0.3:
        return "case.voice", mutate(whole, chance, whole)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(files["voice.json"])
    what = chance.randrange(4)
    if what <= 1:
        for _ in range(chance.choice((1, 1, 3))):
            record = mutate_json(record, chance)
    elif what == 2:
        files["weights.safetensors"] = mutate_weights(files["weights.safetensors"], chance)
        record["weights_sha256"] = hashlib.sha256(files["weights.safetensors"]).hexdigest()
    else:
        name = chance.choice(sorted(files))
        files[name] = mutate(files[name], chance, whole)
    if what < 3 or name != "voice.json":
        files["voice.json"] = json.dumps(record).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return "case.voice", buffer.getvalue()


def mutate_weights(content: bytes, chance: random.Random) -> bytes:
    """Bytes anywhere, or the header alone with its length made right again."""
    if chance.random() < 0.5:
        return mutate(content, chance, content)
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(mutate_json(json.loads(content[8 : 8 + length]), chance)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@cache
def recordings() -> dict[str, bytes]:
    """The same second of sound in every format that is read: name -> content."""
    import av
    import soundfile

    rate = 16000
    time = np.arange(rate) / rate
    wav = (0.3 * np.sign(np.sin(2 * np.pi * 140 * time)) * np.sin(np.pi * 3 * time)).astype(np.float32)
    files = {}
    for name, form, subtype in (
        ("a.wav", "WAV", "PCM_16"),
        ("b.wav", "WAV", "FLOAT"),
        ("c.flac", "FLAC", None),
        ("d.ogg", "OGG", "VORBIS"),
        ("e.aiff", "AIFF", None),
        ("f.caf", "CAF", None),
    ):
        buffer = io.BytesIO()
        soundfile.write(buffer, wav, rate, format=form, subtype=subtype)
        files[name] = buffer.getvalue()
    for name, form, codec in (("g.mp3", "mp3", "libmp3lame"), ("h.m4a", "mp4", "aac"), ("i.webm", "webm", "libopus")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=form) as container:
            stream = container.add_stream(codec, rate=48000)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.repeat(wav, 3)[None], format="flt", layout="mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        files[name] = buffer.getvalue()
    return files


@cache
def voice_file(model: str) -> bytes:
    from voiceconv.voice_file import export_voice

    with tempfile.TemporaryDirectory() as folder:
        export_voice(model, Path(folder) / "x.voice")
        return (Path(folder) / "x.voice").read_bytes()


def work(model: str, pipe: Connection) -> None:
    """A process that answers each (kind, number) with what became of it."""
    import torch

    from voiceconv import library
    from voiceconv.audio import load_audio, require_convertible, save_audio
    from voiceconv.converter import VoiceConverter
    from voiceconv.terminal import explain
    from voiceconv.voice_file import import_voice

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ[library.HOME] = home
        converter = VoiceConverter.from_pretrained(model, vocoder="griffin-lim", device="cpu")
        sound = Path(home) / "sound.wav"
        sound.write_bytes(recordings()["a.wav"])

        def convert(by: VoiceConverter, path: Path) -> None:
            wav = load_audio(path, by.sample_rate, loudness=None)
            require_convertible(wav, by.sample_rate, max_seconds=20.0)
            save_audio(Path(home) / "out.wav", by.convert(wav, by.voices[1]), by.sample_rate)

        while True:
            kind, number = pipe.recv()
            name, content = audio_case(number) if kind == "audio" else voice_case(number, model)
            path = Path(home) / name
            path.write_bytes(content)
            try:
                if kind == "audio":
                    convert(converter, path)
                else:
                    added = import_voice(path, f"case {number}")
                    convert(VoiceConverter.from_pretrained(added, vocoder="griffin-lim", device="cpu"), sound)
                answer = "converted"
            except Exception as error:
                reason = explain(error)
                answer = "refused" if reason else f"fault: {type(error).__name__}: {error}"
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
                ended[case[0], answer.split(":")[0]] += 1
                if answer not in ("converted", "refused"):
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
        print(f"| {kind} | " + " | ".join(str(ended[kind, outcome]) for outcome in OUTCOMES) + " |")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
