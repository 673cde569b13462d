"""Serves the lecture's ideas on this computer, each on a page of its own to play with.

    python -m recipes.play                 opens http://127.0.0.1:7861
    python -m recipes.play --port 8000

Every page answers in less than a second on two cores, from weights that came with the program. It shows the lines of
code that do it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from recipes.common.command import run_recipe
from recipes.play.page import build_page


@dataclass(frozen=True)
class PlayConfig:
    """Serves the pages, until it is stopped."""

    port: int = 7861
    """Port of the address."""


def main(config: PlayConfig) -> None:
    os.environ["no_proxy"] = "*"  # Gradio asks its own page whether it is there, which no proxy can
    build_page().launch(server_name="127.0.0.1", server_port=config.port, show_error=True)


if __name__ == "__main__":
    sys.exit(run_recipe(PlayConfig, main, __doc__))
