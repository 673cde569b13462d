"""Live: speak, and hear the other voice while you speak."""

from __future__ import annotations

import gradio as gr

from voiceconv.studio.session import Studio
from voiceconv.studio.tabs.convert import PRIVATE, voice_and_pitch
from voiceconv.studio.web import text

# Microphone and loudspeaker are the browser's, and so is this part of the program; `live_socket` answers it.
SCRIPT = text("live.js")


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    gr.HTML(
        "<p>Speak, and hear yourself as somebody else a moment later. Wear headphones, or the microphone hears the "
        "loudspeaker.</p>",
        elem_classes="words",
    )
    voice, pitch = voice_and_pitch(studio, "live-")
    gate = gr.Checkbox(label="Noise gate: silence what is softer than speech", value=False, elem_id="live-gate")
    button = gr.Button("Start or stop", variant="primary", elem_id="live-button")
    gr.HTML('<p id="live-status" role="status">Not started.</p>', elem_classes="words")
    button.click(None, [voice, pitch, gate], None, js=SCRIPT, queue=False, **PRIVATE)
    gr.on([page.load, tab.select], lambda: gr.update(choices=studio.choices()), None, voice, queue=False, **PRIVATE)
