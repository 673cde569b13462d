"""Reads a command line into dataclasses, and explains a mistake in it in one line."""

from __future__ import annotations

import difflib
import io
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro
from tyro import _errors as errors  # its only way to word mistakes; pyproject.toml names the releases that have it
from tyro.constructors import PrimitiveConstructorSpec

T = TypeVar("T")
CONFIG = (tyro.conf.FlagCreatePairsOff,)
NARROWEST = 40  # columns; tyro never ends laying out its help in the few that a broken terminal reports


def parse(kind: type[T], words: Sequence[str], prog: str) -> T:
    """Reads `words` into the dataclass `kind`.

    Exits with status 0 after `--help`. After a mistake it exits with status 2 and one line on standard error.
    """

    def refuse(event: errors.ParseErrorEvent) -> NoReturn:
        unknown = getattr(event, "tokens", []) or getattr(event, "unrecognized_tokens", [])
        end = words.index(unknown[0]) if unknown else len(words)
        place = next(text for n in range(end, -1, -1) if (text := help_text(kind, words[:n], prog)))
        name = place.removeprefix("usage: ").split(" [")[0]
        message = _unknown(unknown[0], place) if unknown else _explain(event)
        print(f"{name}: {message}\nSee `{name} --help`.", file=sys.stderr)
        sys.exit(2)

    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    with errors.on_parse_error(refuse):
        return tyro.cli(kind, args=words, prog=prog, config=CONFIG)


def help_text(kind: type, words: Sequence[str], prog: str) -> str:
    """What `--help` says after `words`, or nothing if these hold a mistake."""
    text = io.StringIO()
    with suppress(SystemExit), errors.on_parse_error(lambda _: sys.exit(2)), redirect_stdout(text):
        tyro.cli(kind, args=[*words, "--help"], prog=prog, config=CONFIG)
    return text.getvalue()


def options_in(text: str) -> list[str]:
    """The options and the commands that a help text lists."""
    return re.findall(r"^ +(?:-h, |• )?((?:--|(?<=• ))\w[\w.-]*)", text, re.MULTILINE)


def _unknown(text: str, place: str) -> str:
    near = difflib.get_close_matches(text.split("=")[0], options_in(place), n=1)
    return f"there is no {text!r} here" + (f"; did you mean {near[0]}?" if near else "")


def _explain(event: errors.ParseErrorEvent) -> str:
    match event:
        case errors.MissingArgs():
            missing = [_name(argument.arg) for argument in event.missing_arguments]
            return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        case errors.MissingSubcommand():
            return f"a command is missing; choose from {', '.join(event.subcommand_spec.parser_from_name)}"
        case errors.InstantiationFailure():
            message = re.sub(r"invalid literal for int.*: ('.*')", r"\1 is not a whole number", event.message)
            message = re.sub(r"could not convert string to float: ('.*')", r"\1 is not a number", message)
            return f"{_name(event.argument)}: {message}" if event.argument else message
        case errors.InvalidChoice():
            return f"{_name(event.argument)}: {event.value!r} is not one of {', '.join(event.choices)}"
        case errors.BadValue():
            return f"{_name(event.argument)} needs {event.argument.lowered.metavar}"
        case errors.MutexConflict():
            return f"{event.first_token} and {event.second_token} exclude each other"
    return "this cannot be read"


def _name(argument: Any) -> str:
    return str(argument.lowered.metavar if argument.is_positional() else argument.lowered.name_or_flags[-1])


def word(read: Callable[[str], Any], metavar: str) -> Any:
    """How one word becomes a value: `read` raises `ValueError` with the sentence that the user sees."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [shown(value)],
    )


def shown(value: object) -> str:
    """A value as somebody would write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def option(metavar: str | None = None, *, name: str | None = None, text: str | None = None) -> Any:
    """Names an option and its value in the help, which shows a default only where there is one.

    `text` is what the help says of an option that several commands have; others say it in their docstrings.
    """
    return tyro.conf.arg(
        name=name,
        metavar=metavar,
        help=text,
        help_behavior_hint=lambda label: "" if label in ("", "None", "False") else f"(default: {label})",
    )


def duration(text: str) -> float:
    """'90s', '60m', '1h30m' or '1.5h' -> seconds."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    seconds = sum(float(n or 0) * unit for n, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a time; write it like 90s, 60m or 1h30m")
    return seconds


def number(wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Reads a number that `fits`; `wanted` says which ones do."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise ValueError(f"{text!r} is not {wanted}")
        return value

    return read


def whole_number(wanted: str, low: int, high: float) -> Callable[[str], int]:
    """Reads a whole number from `low` to `high`; `wanted` says so."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not {wanted}")
        return int(text)

    return read


COUNT = word(whole_number("a whole number, 1 or more", 1, math.inf), "N")
length = number("a length in seconds, over 0", lambda value: 0 < value < math.inf)
Text = Annotated[str | None, word(str, "TEXT"), option()]
File = Annotated[Path | None, word(Path, "FILE"), option()]
Resume = Annotated[bool, option(text="Continue a run that was stopped.")]
Budget = Annotated[
    float | None,
    word(duration, "TIME"),
    option(text="Stop after this time, such as 60m or 1h30m. Preparing the recordings counts, but is always finished."),
]
Seed = Annotated[
    int,
    word(whole_number(f"a whole number from 0 to {2**32 - 1}", 0, 2**32 - 1), "N"),
    option(text="Seed of everything that is random. Another seed is another run."),
]
