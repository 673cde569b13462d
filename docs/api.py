"""Builds the API reference from the docstrings: `make docs`, or `python docs/api.py FOLDER`.

Covers every public module of `voiceconv` and `generative_core`. Needs the extra `docs` and no network.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from pkgutil import iter_modules

import pdoc

import generative_core
import voiceconv


def build(folder: Path) -> None:
    """Writes one HTML page per module, with an index and a search, into `folder`."""
    modules = []
    for package in (voiceconv, generative_core):
        for name in package.__all__:  # imported on first use by a module's __getattr__, which pdoc does not call
            setattr(package, name, getattr(package, name))
        names = (name for _, name, _ in iter_modules(package.__path__) if not name.startswith("_"))
        # pdoc finds what lies further down itself.
        modules += [package.__name__, *(f"{package.__name__}.{name}" for name in names if name not in package.__all__)]
    # A generated `__init__` names types that its module imports for type checkers only; pdoc shows those as text.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.render.configure(show_source=False)
    pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api"))
