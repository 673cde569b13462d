"""Fetches packages of npm and Debian by their names, into a folder, without installing them on the system."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from voiceconv.errors import UserError


def npm_packages(names: Sequence[str], folder: Path) -> Path:
    """Puts packages of npm, and what they need, into `folder`; returns its `node_modules`. Nothing that a package
    brings is run. Raises `UserError` if npm is missing or fails."""
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    (folder / "package.json").write_text("{}\n", encoding="utf-8")  # without one, npm looks in the folders above
    run_program(["npm", "install", *options, *names], folder, "Node.js with npm, version 18 or newer")
    return folder / "node_modules"


def debian_package(name: str, folder: Path) -> Path:
    """Unpacks a package of Debian or Ubuntu below `folder`; returns the folder that stands for the root of a system.
    Raises `UserError` if the system is another one or does not know the package."""
    run_program(["apt-get", "download", name], folder, "Debian or Ubuntu")
    root = folder / name
    package = next(folder.glob(f"{name}_*.deb"))
    run_program(["dpkg-deb", "--extract", str(package), str(root)], folder, "Debian or Ubuntu")
    return root


def run_program(words: Sequence[str], folder: Path, needs: str) -> str:
    """What a program prints; raises `UserError` with its last words, or with what it `needs` if it is not there."""
    if shutil.which(words[0]) is None:
        raise UserError(f"{words[0]} is not installed. This needs {needs}.")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
