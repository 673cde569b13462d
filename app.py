"""Opens the page from a clone: `python app.py` is `voiceconv app`.

`build_app(converter)` gives the page as Gradio Blocks, to launch or to mount elsewhere.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from voiceconv.cli.main import main

if TYPE_CHECKING:
    import gradio as gr

    from voiceconv.convert.converter import VoiceConverter


def build_app(converter: VoiceConverter) -> gr.Blocks:
    """The page, which opens with this voice, as Blocks to launch or to mount."""
    from voiceconv.studio.page import build_app as build
    from voiceconv.studio.session import Studio

    return build(Studio(converter))


if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
