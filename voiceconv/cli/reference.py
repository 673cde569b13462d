"""Writes docs/cli.md from the help of every command: `python -m voiceconv.cli.reference > docs/cli.md`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from voiceconv.cli.arguments import help_text, options_in
from voiceconv.cli.main import program_for

START = """# The command line

This is what `--help` says of each command. An option and its value are written as `--option value` or `--option=value`.
Options come in any order. A command that cannot be carried out says why in one sentence, and its exit status is 2.
`voiceconv presets cpu` lists the settings of a preset, each of which is an option of `voiceconv train` as well.
"""
WIDTH = "100"


def reference() -> str:
    """The page in Markdown, as wide as the environment's COLUMNS: the help of every command."""
    return "\n".join([START, *_sections([])])


def _sections(words: list[str]) -> Iterator[str]:
    text = help_text(program_for(words), words, "voiceconv")
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip()
    yield f"## {' '.join(['voiceconv', *words])}\n\n```text\n{lines}\n```\n"
    for name in options_in(text):
        if not name.startswith("-"):
            yield from _sections([*words, name])


if __name__ == "__main__":
    os.environ["COLUMNS"] = WIDTH
    print(reference(), end="")
