"""Gives numba a folder for what it compiles where it would find none."""

from __future__ import annotations

import os

VARIABLE = "NUMBA_CACHE_DIR"


def ensure_numba_cache() -> None:
    """librosa's numba compiles into its own package or the user's cache folder, and cannot be imported without either.

    So where the home cannot be written, it gets a temporary folder that lives as long as this process. It must be
    called before librosa is imported.
    """
    if VARIABLE in os.environ or os.access(os.path.expanduser("~"), os.W_OK):
        return
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="numba-")
    os.environ[VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
