"""A corpus on a local cluster of two machines' worth of workers, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile

from recipes.convert_cluster import ClusterConfig, Storage, convert_corpus, main
from tests.signals import SAMPLE_RATE, hum
from voiceconv.errors import UserError

ROOT = Path(__file__).parents[2]
RECORDINGS = 24


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of two nodes with two CPUs each, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the workers import what is tested
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    machines.add_node(num_cpus=2)
    yield machines.address
    machines.shutdown()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of the server of metrics that Ray's statistics on its users are taken from."""
    questions: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            questions.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setenv("RAY_PROMETHEUS_HOST", f"http://127.0.0.1:{server.server_port}")
    yield questions
    server.shutdown()
    server.server_close()


def convert(config: ClusterConfig, address: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: Ray leaves threads behind in the one that it worked for."""
    flags = [
        f"--source={config.source}",
        f"--out={config.out}",
        f"--model={config.model}",
        f"--vocoder={config.vocoder}",
        f"--workers={config.workers}",
        f"--address={address}",
    ]
    command = [sys.executable, "-m", "recipes.convert_cluster", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def workers() -> list[int]:
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 1) for line in listed.splitlines()]
    return [int(pid) for pid, args in rows if args.startswith("ray::") and "Map" in args]


@pytest.mark.slow
def test_a_killed_worker_loses_and_doubles_nothing(
    cluster: str, asked: list[str], tiny_voice: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    for number in range(RECORDINGS):
        folder = source / "deep" if number % 2 else source
        soundfile.write(folder / f"{number:02d}.wav", hum(150.0, 1.5, number), SAMPLE_RATE)
    (source / "broken.mp3").write_text("no recording")
    config = ClusterConfig(str(source), str(out), model=str(tiny_voice), vocoder="griffin-lim", workers=2)
    killed: list[int] = []

    def kill_one() -> None:
        while not killed and not over.wait(0.1):
            if len(list(out.rglob("*.wav"))) >= 3 and (at_work := workers()):
                os.kill(at_work[0], signal.SIGKILL)
                killed.append(at_work[0])

    over = threading.Event()
    killer = threading.Thread(target=kill_one)
    killer.start()
    first = convert(config, cluster)
    over.set()
    killer.join()
    assert killed, "no worker was found to kill"
    assert first.returncode != 0
    assert "1 recordings failed, the others are done" in first.stderr
    assert "broken.mp3 cannot be read as audio" in first.stderr
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(row["source"] for row in rows) == sorted(
        p.relative_to(source).as_posix() for p in source.rglob("*.*")
    )
    results = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))
    assert results == sorted(row["output"] for row in rows if row["status"] == "done")
    assert len(results) == RECORDINGS
    assert {soundfile.info(out / name).frames for name in results} == {round(1.5 * SAMPLE_RATE)}
    assert not list(out.rglob("*.part"))

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    (out / "00.wav").unlink()
    shutil.copy(source / "01.wav" if (source / "01.wav").exists() else source / "02.wav", source / "broken.mp3")
    time.sleep(0.01)
    second = convert(config, cluster)
    assert second.returncode == 0, second.stderr
    changed = {p.name for p in out.rglob("*.wav") if p.stat().st_mtime_ns != before.get(p)}
    assert changed == {"00.wav", "broken.wav"}
    assert asked == []


def test_storage_keeps_names_and_hides_what_is_unfinished(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "new"))
    assert storage.list() == {}
    assert storage.read("a.wav") is None
    storage.write("deep/a.wav", b"sound")
    storage.write("deep/a.wav", b"other")
    (tmp_path / "new" / "deep" / ".b.wav.part").touch()
    (tmp_path / "new" / "deep" / "notes.txt").touch()
    assert list(storage.list()) == ["deep/a.wav"]
    assert storage.read("deep/a.wav") == b"other"


def test_mistakes_are_told(tiny_voice: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--source and --out"):
        main(ClusterConfig())
    with pytest.raises(UserError, match="no recordings"):
        convert_corpus(ClusterConfig(str(tmp_path), str(tmp_path / "out"), model=str(tiny_voice)))
