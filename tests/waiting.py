"""Waits for a condition, however long a busy machine takes."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 900.0  # seconds; only what hangs takes longer


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"still not so after {PATIENCE:.0f} s"
        time.sleep(0.02)
