"""Runs one command of `voiceconv`.

A command is a frozen dataclass in a module of its own. Its fields are the options, their docstrings are the help, and
`run` returns the exit status. Heavy libraries are imported inside `run`, so that help and mistakes come at once.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Protocol, Union

from tyro.conf import arg

from voiceconv import __version__
from voiceconv.cli.app import App
from voiceconv.cli.arguments import File, option, parse
from voiceconv.cli.convert import Convert
from voiceconv.cli.evaluate import Evaluate
from voiceconv.cli.inspect import Inspect
from voiceconv.cli.live import Live
from voiceconv.cli.presets import Presets
from voiceconv.cli.resynth import Resynth
from voiceconv.cli.settings import with_settings
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.cli.train import Train
from voiceconv.cli.train_vocoder import TrainVocoder
from voiceconv.cli.voices import Voices
from voiceconv.user_data import HOME

KINDS = (App, Convert, Live, Voices, Inspect, Train, Presets, Evaluate, Resynth, TrainVocoder)


class Command(Protocol):
    """What each command is, beside its options."""

    def run(self) -> int: ...


@dataclass(frozen=True)
class Program:
    """Convert the voice in recordings, and train voices to convert to."""

    command: Command
    home: Annotated[File, option("DIR")] = None
    """The folder of your own voices and trainings. Without it, $VOICECONV_HOME or your data folder."""
    version: Annotated[bool, option()] = False
    """Show the version and exit."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`, or that of this process; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)

    def command() -> int:
        if words == ["--version"]:
            print(f"voiceconv {__version__}")
            return 0
        program = parse(program_for(words), words or ["--help"], "voiceconv")
        if program.home is not None:
            os.environ[HOME] = str(program.home)
        return program.command.run()

    return run_in_terminal(command)


def program_for(words: Sequence[str]) -> type[Program]:
    """`Program` with its commands. Training commands take settings of a preset if `words` hold some."""
    kinds: list[Any] = list(KINDS)
    if "train" in words:
        kinds[kinds.index(Train)] = with_settings(Train, words, "voiceconv.training.presets")
    if "train-vocoder" in words:
        kinds[kinds.index(TrainVocoder)] = with_settings(TrainVocoder, words, "voiceconv.vocoder_training.presets")
    command: Any = Annotated[(Union[tuple(kinds)], arg(name=""))]  # noqa: UP007
    namespace = {"__doc__": Program.__doc__}
    return make_dataclass("Program", [("command", command)], bases=(Program,), namespace=namespace, frozen=True)
