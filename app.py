"""The page: convert, one recording or many, train a voice, hand voices on, compare them.

`python app.py` opens it on http://127.0.0.1:7860; `build_app(converter)` gives the Gradio Blocks to put elsewhere.
Everything stays on this machine: no telemetry, no fonts or scripts from other hosts, recordings deleted on exit but for
those that a voice is trained on.
What is behind the page lies in `voiceconv/studio/` and is imported when it opens: `app.py --help` is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voiceconv.cli.terminal import Parser, run_in_terminal
from voiceconv.user_data import HOME

if TYPE_CHECKING:
    import gradio as gr

    from voiceconv.convert.converter import VoiceConverter


def build_app(converter: VoiceConverter) -> gr.Blocks:
    """The page, which opens with this voice, as Blocks to launch or to mount."""
    from voiceconv.studio.page import build_app as build
    from voiceconv.studio.session import Studio

    return build(Studio(converter))


def parser() -> Parser:
    parser = Parser(prog="app.py", description="Open the page that converts, trains and plays voices.")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this computer only)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument("--share", action="store_true", help="let other computers reach the page (see --password)")
    parser.add_argument("--password", help="ask visitors for it (or set VOICECONV_PASSWORD, which others cannot read)")
    parser.add_argument("--model", default="allison-joe", help="the voice to open with (default: %(default)s)")
    parser.add_argument("--vocoder", help="istft, hifigan, griffin-lim or a folder (default: the best there is)")
    parser.add_argument("--home", metavar="DIR", help=f"folder of your voices and trainings (default: ${HOME})")
    parser.add_argument("--max-seconds", type=float, default=300.0, help="longest recording (default: %(default)g)")
    parser.add_argument("--max-queue", type=int, default=64, help="requests that may wait (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the page until Ctrl-C; the exit status."""
    options = parser().parse_args(argv)
    if options.home is not None:
        os.environ[HOME] = options.home
    return run_in_terminal(lambda: serve(options))


def serve(options: argparse.Namespace) -> int:
    from voiceconv.studio.server import serve as serve_page

    return serve_page(options)


if __name__ == "__main__":
    sys.exit(main())
