"""Show how far the conversion of a long recording is, on one line of a terminal."""

from __future__ import annotations

import sys
import time


class ProgressLine:
    """Says how far the conversion of a long recording is, on one line of a terminal that is written anew; it is called
    with the seconds that are done and in all (0 while the recording is being read)."""

    def __init__(self) -> None:
        self.started: float | None = None  # the conversion itself
        self.written = 0.0

    def __call__(self, done: float, total: float) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or (now < self.written + 0.2 and done < total):
            return
        if total and self.started is None:
            self.started = now
        text = f"{clock(done)} read"
        if total and self.started is not None:
            left = (now - self.started) / max(done, 1e-9) * (total - done)
            text = f"{done / total:4.0%}, {clock(done)} of {clock(total)} converted, {clock(left)} left"
        self.written = now
        print(f"\r{text}\x1b[K" if done < total or not total else "\r\x1b[K", end="", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """3723 -> '1:02:03'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
