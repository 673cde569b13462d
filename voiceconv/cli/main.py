"""Runs one command of `voiceconv`.

A command is a frozen dataclass in a module of its own. Its fields are the options, their docstrings are the help, and
`run` returns the exit status. Heavy libraries are imported inside `run`, so that help and mistakes come at once.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes

from voiceconv import __version__
from voiceconv.cli.app import App
from voiceconv.cli.arguments import File, option, parse
from voiceconv.cli.convert import Convert
from voiceconv.cli.evaluate import Evaluate
from voiceconv.cli.inspect import Inspect
from voiceconv.cli.live import Live
from voiceconv.cli.resynth import Resynth
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.cli.train import Train
from voiceconv.cli.train_vocoder import TrainVocoder
from voiceconv.cli.voices import Voices
from voiceconv.user_data import HOME

Command = App | Convert | Live | Voices | Inspect | Train | Evaluate | Resynth | TrainVocoder


@dataclass(frozen=True)
class Program:
    """Convert the voice in recordings, and train voices to convert to."""

    command: OmitArgPrefixes[OmitSubcommandPrefixes[Command]]
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
        program = parse(Program, words or ["--help"], "voiceconv")
        if program.home is not None:
            os.environ[HOME] = str(program.home)
        return program.command.run()

    return run_in_terminal(command)
