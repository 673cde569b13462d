"""Where a user's own voices and trainings lie, beside the voices that came with the program.

The environment variable `VOICECONV_HOME` names the folder; without it, it is where the system keeps a user's data.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

HOME = "VOICECONV_HOME"
LONGEST_NAME = 64
# Of voices, speakers and trainings: files are called after them.
NAME = re.compile(rf"\w[\w .-]{{0,{LONGEST_NAME - 1}}}")
NAME_RULE = f"it must be made of up to {LONGEST_NAME} letters, digits, spaces, dots and dashes"


def home() -> Path:
    """The folder of everything that is kept for the user; it need not exist yet."""
    if named := os.environ.get(HOME):
        return Path(named).expanduser().absolute()
    return platformdirs.user_data_path("voiceconv", appauthor=False)


def voices_folder() -> Path:
    """A folder for each voice that was imported or trained."""
    return home() / "voices"


def runs_folder() -> Path:
    """A run folder for each training that was started from the page."""
    return home() / "runs"
