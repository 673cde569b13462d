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
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from voiceconv.errors import explain


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
