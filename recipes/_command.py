"""How every recipe reads its command line and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tyro

from voiceconv.terminal import run_in_terminal

Config = TypeVar("Config")


def run_recipe(config_type: type[Config], recipe: Callable[[Config], None], description: str | None) -> int:
    """Reads the command line into `config_type` and runs `recipe`; the exit status."""
    config = tyro.cli(config_type, description=description, config=(tyro.conf.FlagCreatePairsOff,))

    def command() -> int:
        recipe(config)
        return 0

    return run_in_terminal(command)
