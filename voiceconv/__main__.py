"""Starts the command line: `python -m voiceconv`."""

import sys

from voiceconv.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
