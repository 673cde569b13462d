"""Reads the command line of a recipe, runs the recipe, and returns its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TypeVar

import tyro

from generative_core.training.parallel import is_first, join_processes
from voiceconv.cli.terminal import run_in_terminal

Config = TypeVar("Config")


def run_recipe(config_type: type[Config], recipe: Callable[[Config], None], description: str | None) -> int:
    """Reads the command line into `config_type` and runs `recipe`; the exit status.

    Under `torchrun` every process runs the recipe, and their trainings work together; only the first one is heard.
    """
    spec = sys.modules["__main__"].__spec__
    prog = f"python -m {spec.name}" if spec else None
    config = tyro.cli(config_type, prog=prog, description=description, config=(tyro.conf.FlagCreatePairsOff,))

    def command() -> int:
        with join_processes():
            if is_first():
                recipe(config)
            else:
                with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                    recipe(config)
        return 0

    return run_in_terminal(command)
