"""Finds the Chrome or Chromium that the tests of the page drive, or brings one: `python -m tests.browser`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

from tests.waiting import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ON_A_MAC = ("Chromium", "Google Chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
MISSING = (
    "The tests drive a real browser, and none starts here nor could be brought: install Chromium (Debian and Ubuntu: "
    "apt install chromium; macOS: brew install --cask chromium), or set CHROMIUM to the path of a Chrome or Chromium."
)


@contextmanager
def browsing(microphone: Path | None = None) -> Iterator[Browser]:
    """A real Chromium, with a sound file as its microphone. Raises `Error` of Playwright if none starts."""
    arguments = [*ARGUMENTS]
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=arguments, timeout=1000 * PATIENCE)
        yield browser
        browser.close()


def installed() -> str | None:
    """The path of $CHROMIUM, or of the machine's browser; None if there is none, and Playwright's own is to be used."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    on_a_mac = (f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ON_A_MAC)
    return next(filter(None, map(shutil.which, (*NAMES, *on_a_mac))), None)


def starts() -> bool:
    try:
        with browsing():
            return True
    except Error:
        return False


def ways() -> Iterator[list[str]]:
    """The commands that bring a browser, the likeliest first."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and shutil.which("apt-get"):
        yield ["apt-get", "update"]
        yield ["apt-get", "install", "--yes", "chromium"]
    yield [sys.executable, "-m", "playwright", "install", *(["--with-deps"] if root else []), "chromium"]


def main() -> int:
    if starts():
        return 0
    if chosen := os.environ.get("CHROMIUM"):
        print(f"CHROMIUM is {chosen}, which does not start: set it to another browser, or unset it.", file=sys.stderr)
        return 1
    print("Bringing a browser for the tests of the page; the first time this takes a minute.", flush=True)
    quick = {"DEBIAN_FRONTEND": "noninteractive", "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000"}
    for way in ways():
        subprocess.run(way, env={**os.environ, **quick}, stdin=subprocess.DEVNULL, capture_output=True)
        if starts():
            return 0
    print(MISSING, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
