"""A server in a process of its own, and a browser to visit it with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT = 180_000  # ms; a busy machine converts slowly


@contextmanager
def serving(temporary: Path, *options: object, **environment: str) -> Iterator[str]:
    """The address of `app.py`, which must end cleanly, without a traceback, and leave no recording behind."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), *map(str, options)]
    log = temporary / "log.txt"
    variables: Mapping[str, str] = {**os.environ, "TMPDIR": str(temporary), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + WAIT / 1000
        while f"open on {address}" not in log.read_text() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        assert f"open on {address}" in log.read_text(), f"the page did not open: {log.read_text()}"
        yield address
        process.terminate()
        assert process.wait(timeout=30) == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
        assert [path.name for path in temporary.iterdir() if path.name.startswith("voiceconv-")] == []
    finally:
        process.kill()
        process.wait()


@contextmanager
def browsing(microphone: Path | None = None) -> Iterator[Browser]:
    """A real Chromium, with a sound file as its microphone."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.fail(
            f"This test drives a real browser, but none of {', '.join(BROWSERS)} is on the PATH. Install one "
            "(Debian and Ubuntu: apt install chromium), or set CHROMIUM to the program's path."
        )
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
