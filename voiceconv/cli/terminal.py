"""Runs a command in a terminal and returns its exit status.

The status is 2 after a mistake of the user, which is explained in one sentence on standard error. It is 130
(128 + SIGINT) after Ctrl-C, and 141 (128 + SIGPIPE) if the reader of the output has left. A traceback is a fault of
this program.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable

from voiceconv.errors import explain


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
