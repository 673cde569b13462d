"""Explains errors to users in words instead of a traceback."""

from __future__ import annotations

from generative_core.errors import UserError

__all__ = ["OtherRun", "UserError", "explain"]


class OtherRun(UserError):
    """A run folder is refused because what it holds was begun otherwise, and can still be gone on with."""


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
