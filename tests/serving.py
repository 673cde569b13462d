"""Runs the page's server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[1]
WAIT = 180_000  # ms, for what a browser shows; only what hangs takes longer


@contextmanager
def serving(temporary: Path, *options: object, cwd: Path = ROOT, **environment: str) -> Iterator[str]:
    """The address of the page, which must end cleanly, without a traceback, and leave no recording behind."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voiceconv", "app", "--port", str(port), *map(str, options)]
    log = temporary / "log.txt"
    variables: Mapping[str, str] = {**os.environ, "TMPDIR": str(temporary), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http{'s' * ('--https' in options)}://127.0.0.1:{port}"
        wait_for(lambda: f"open on {address}" in log.read_text() or process.poll() is not None)
        assert f"open on {address}" in log.read_text(), f"the page did not open: {log.read_text()}"
        yield address
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
        assert [path.name for path in temporary.iterdir() if path.name.startswith("voiceconv-")] == []
    finally:
        process.kill()
        process.wait()
