"""How a command in a terminal ends.

Mistakes of the user end with one sentence on standard error and exit status 2, Ctrl-C with 130 (128 + SIGINT), a
reader of our output who left with 141 (128 + SIGPIPE). A traceback is a fault of this program.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from voiceconv.errors import UserError


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that says what is wrong in a line, and names the nearest option when one is misspelt."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Refuses unknown options here, where the sub-command's own options are known."""
        namespace, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            near = difflib.get_close_matches(word, self._option_string_actions, n=1)
            self.error(f"there is no {word!r} here" + (f"; did you mean {near[0]}?" if near else ""))
        return namespace, []

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


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


def explain(error: BaseException) -> str | None:
    """What to tell the user about `error`, or None if it is our fault and not theirs."""
    if isinstance(error, UserError):
        return str(error)
    # torch says it with RuntimeError on the CPU and with its own OutOfMemoryError on a GPU.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error).lower()):
        return "This needs more memory than is free. Close other programs, or cut the recording into shorter pieces."
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}. Check the path, its permissions and the space left on the disk."
    return None


def run_in_terminal(command: Callable[[], int]) -> int:
    """Runs `command` and returns its exit status, or that of the mistake or the signal that ended it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # names of files may hold what no encoding has
    try:
        with warnings.catch_warnings():
            # A sentence, without the file and line that Python puts before it.
            warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
            status = command()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would complain again when it closes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if (reason := explain(error)) is None:
            raise
        print(reason, file=sys.stderr)
        return 2
