"""Makes every setting of a preset an option of the command that trains with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from importlib import import_module
from typing import Annotated, Any

from tyro.conf import AvoidSubcommands, arg

from voiceconv.cli.arguments import help_text, options_in


def with_settings(command: Any, words: Sequence[str], presets: str) -> Any:
    """`command`, or if `words` hold options that it lacks, `command` with the settings of the preset that they name.

    `presets` is the module that holds the presets. It is only imported for them, since it imports torch.
    """
    own = options_in(help_text(command, [], ""))
    if all(word.split("=")[0] in own for word in words if re.match("--[a-z]", word)):
        return command
    known, named = import_module(presets).PRESETS, re.search(r"--preset[ =](\S+)", " ".join(words))
    preset = known.get(named[1] if named else command.preset, known["smoke"])  # the training refuses a wrong name
    return _with_field(command, preset)


def settings_text(preset: Any) -> str:
    """What `--help` says of the settings of a preset."""
    text = help_text(_with_field(make_dataclass("Settings", [], frozen=True), preset), [], "")
    return text.partition("show this help message and exit")[2].strip()


def _with_field(base: Any, preset: Any) -> Any:
    options: Any = Annotated[(type(preset), AvoidSubcommands, arg(name=""))]
    more = [("settings", options, field(default=preset))]
    return make_dataclass(base.__name__, more, bases=(base,), namespace={"__doc__": base.__doc__}, frozen=True)
