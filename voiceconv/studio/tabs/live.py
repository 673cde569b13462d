"""Builds the Live tab: speak, and hear the other voice while you speak.

Microphone and loudspeaker are the browser's, and so is this part of the program; `live_socket` answers it.
"""

from __future__ import annotations

import gradio as gr

from voiceconv.studio.session import Studio
from voiceconv.studio.web import REFRESH, script, text


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    gr.HTML(text("live.html"), js_on_load=script("live.js"), apply_default_css=False, elem_id="live")
    tab.select(None, None, None, js=REFRESH)
